/** The setup of a bucket as commands of the AWS command line. */
import { bucketPolicy, IAM_PARTIES, iamDocument, type BucketPlace } from '../../core/archive/bucket-setup.ts'

export function awsCliText(place: BucketPlace): string {
  const { bucket } = place
  const quoted = (document: object): string => `'${JSON.stringify(document)}'`
  const lifecycle = {
    Rules: [
      {
        ...{ ID: 'aborted-uploads', Status: 'Enabled', Filter: { Prefix: '' } },
        AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 },
      },
    ],
  }
  return [
    '# Outside us-east-1 add: --create-bucket-configuration LocationConstraint=REGION',
    `aws s3api create-bucket --bucket ${bucket} --object-lock-enabled-for-bucket`,
    `aws s3api put-bucket-versioning --bucket ${bucket} --versioning-configuration Status=Enabled`,
    `aws s3api put-public-access-block --bucket ${bucket} --public-access-block-configuration BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true`,
    `aws s3api put-bucket-lifecycle-configuration --bucket ${bucket} --lifecycle-configuration ${quoted(lifecycle)}`,
    `aws s3api put-bucket-policy --bucket ${bucket} --policy ${quoted(bucketPolicy(place))}`,
    ...IAM_PARTIES.map(
      (party) =>
        `aws iam create-policy --policy-name hooktrail-${party}-${bucket} --policy-document ${quoted(iamDocument(place, party))}`,
    ),
  ].join('\n')
}
