/** The setup of a bucket as Terraform for the AWS provider. */
import { bucketPolicy, IAM_PARTIES, iamDocument, type BucketPlace } from '../../core/archive/bucket-setup.ts'

export function terraformText(place: BucketPlace): string {
  const { bucket } = place
  return [
    block('aws_s3_bucket', 'archive', [`bucket              = "${bucket}"`, 'object_lock_enabled = true']),
    block('aws_s3_bucket_versioning', 'archive', [
      OF_BUCKET,
      'versioning_configuration {',
      '  status = "Enabled"',
      '}',
    ]),
    block('aws_s3_bucket_public_access_block', 'archive', [
      OF_BUCKET,
      'block_public_acls       = true',
      'block_public_policy     = true',
      'ignore_public_acls      = true',
      'restrict_public_buckets = true',
    ]),
    block('aws_s3_bucket_lifecycle_configuration', 'archive', [
      OF_BUCKET,
      'rule {',
      '  id     = "aborted-uploads"',
      '  status = "Enabled"',
      '  filter {}',
      '  abort_incomplete_multipart_upload {',
      '    days_after_initiation = 1',
      '  }',
      '}',
    ]),
    block('aws_s3_bucket_policy', 'archive', [OF_BUCKET, `policy = ${documentText(bucketPolicy(place))}`]),
    ...IAM_PARTIES.map((party) =>
      block('aws_iam_policy', party.replace('-', '_'), [
        `name   = "hooktrail-${party}-${bucket}"`,
        `policy = ${documentText(iamDocument(place, party))}`,
      ]),
    ),
  ].join('\n\n')
}

const OF_BUCKET = 'bucket = aws_s3_bucket.archive.id'

/** JSON is read as an expression; no text in it holds an interpolation. */
function documentText(document: object): string {
  return `jsonencode(${JSON.stringify(document, null, 2)})`
}

function block(type: string, name: string, lines: readonly string[]): string {
  const body = lines.flatMap((line) => line.split('\n')).map((line) => `  ${line}`)
  return [`resource "${type}" "${name}" {`, ...body, '}'].join('\n')
}
