/** What to change where a check of the probe does not pass: the right that is missing, or the right that is too much. */
import type { ProbeCheck } from './worm.ts'

const OTHER_STORE = 'no setting helps: take another store, or archive.worm: preferred'

export const PROBE_REMEDIES: Readonly<Record<ProbeCheck, string>> = {
  versioning: 'turn versioning on for the bucket; a bucket that was made with Object Lock has it',
  control:
    'allow s3:DeleteObjectVersion on <bucket>/<prefix>/probe/* to archive.probe_credentials (hooktrail archive init prints the statement), and take a default retention off the bucket',
  'lock-stated':
    'make the bucket with Object Lock, and allow s3:PutObjectRetention and s3:GetObjectRetention on <bucket>/<prefix>/*',
  'delete-locked': `take s3:BypassGovernanceRetention away from whoever probes; where it has none, ${OTHER_STORE}`,
  extend: 'allow s3:PutObjectRetention on <bucket>/<prefix>/*',
  shorten: `take s3:BypassGovernanceRetention away from whoever probes; where it has none, ${OTHER_STORE}`,
  downgrade: `take s3:BypassGovernanceRetention away from whoever probes; where it has none, ${OTHER_STORE}`,
  hold: 'allow s3:PutObjectLegalHold and s3:GetObjectLegalHold on <bucket>/<prefix>/*',
  'create-once': `the store writes over what exists in spite of If-None-Match: ${OTHER_STORE}`,
  'create-race': `two creators of one key both succeed: ${OTHER_STORE}`,
  checksum: `the store takes other bytes than were announced: ${OTHER_STORE}`,
}
