/**
 * What a bucket for the archive needs, and what each of three parties may do there: the archiver, who can write and lock
 * but neither delete nor lift a lock; the auditor, who reads; and whoever breaks the glass, with a second factor. Pure
 * documents, in the language of AWS, which other stores know in part (docs/stores.md).
 */
export interface BucketPlace {
  readonly bucket: string
  /** '' where there is none; no slash at its ends. */
  readonly prefix: string
}

export type IamDocument = Readonly<Record<string, unknown>>

export const IAM_PARTIES = ['writer', 'auditor', 'break-glass'] as const
export type IamParty = (typeof IAM_PARTIES)[number]

export function iamDocument(place: BucketPlace, party: IamParty): IamDocument {
  switch (party) {
    case 'writer':
      return policy([
        allow(['s3:ListBucket', 's3:ListBucketVersions'], bucketOf(place)),
        allow(
          [...READ, 's3:PutObject', 's3:PutObjectRetention', 's3:PutObjectLegalHold'],
          objectsOf(place, '*'),
        ),
        // The probe's positive control; hooktrail takes it by itself only as archive.probe_credentials.
        allow(['s3:DeleteObjectVersion'], objectsOf(place, 'probe/*')),
      ])
    case 'auditor':
      return policy([
        allow(
          [
            's3:ListBucket',
            's3:ListBucketVersions',
            's3:GetBucketVersioning',
            's3:GetBucketObjectLockConfiguration',
          ],
          bucketOf(place),
        ),
        allow(READ, objectsOf(place, '*')),
      ])
    case 'break-glass':
      return policy([
        {
          ...allow(
            ['s3:BypassGovernanceRetention', 's3:DeleteObjectVersion', 's3:PutObjectRetention', ...READ],
            objectsOf(place, '*'),
          ),
          Condition: { Bool: { 'aws:MultiFactorAuthPresent': 'true' } },
        },
      ])
  }
}

/** Of the bucket itself: whoever else has rights, nothing but the probe's objects is deleted, and nothing is written over. */
export function bucketPolicy(place: BucketPlace): IamDocument {
  const everybody = { Effect: 'Deny', Principal: '*' }
  return policy([
    {
      ...{ ...everybody, Sid: 'NoDelete', Action: ['s3:DeleteObject', 's3:DeleteObjectVersion'] },
      Resource: KEPT.map((part) => objectsOf(place, part)),
      // Requests with a long-lived key do not have it at all.
      Condition: { BoolIfExists: { 'aws:MultiFactorAuthPresent': 'false' } },
    },
    {
      ...{ ...everybody, Sid: 'CreateOnly', Action: 's3:PutObject', Resource: objectsOf(place, '*') },
      Condition: { Null: { 's3:if-none-match': 'true' } },
    },
  ])
}

const READ = [
  's3:GetObject',
  's3:GetObjectVersion',
  's3:GetObjectRetention',
  's3:GetObjectLegalHold',
] as const

/** Everything of an archive; `probe/` is not. */
const KEPT = [
  ...['genesis.note', 'README.txt', 'formats.md'],
  ...['tools', 'policy', 'keys', 'holds', 'data', 'segments', 'heartbeats', 'tlog', 'anchors'].map(
    (folder) => `${folder}/*`,
  ),
]

function policy(statements: readonly object[]): IamDocument {
  return { Version: '2012-10-17', Statement: statements }
}

function allow(actions: readonly string[], resource: string): object {
  return { Effect: 'Allow', Action: actions, Resource: resource }
}

function bucketOf({ bucket }: BucketPlace): string {
  return `arn:aws:s3:::${bucket}`
}

function objectsOf({ bucket, prefix }: BucketPlace, part: string): string {
  return `arn:aws:s3:::${[bucket, prefix, part].filter((each) => each !== '').join('/')}`
}
