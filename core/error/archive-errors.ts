/** Errors of the archive area: store, formats, keys, chain. */
import type { ErrorText } from './error-text.ts'

const read = 'docs/formats.md'

export const archiveErrors = {
  ARCHIVE_STORE_FULL: {
    what: 'the archive store has no space left',
    events:
      'events stay in the log, which is not cut until they are archived; nothing is lost while the log has room',
    fix: 'free space where the archive lies, or move it to a larger volume',
    read: 'docs/operations.md',
  },
  ARCHIVE_STORE_UNAVAILABLE: {
    what: 'the archive store did not answer as it should',
    events:
      'events stay in the log until the store answers again, and what only the archive holds waits for it; whether the last write landed is read back',
    fix: 'hooktrail archive status',
    read: 'docs/operations.md',
  },
  ARCHIVE_STORE_DENIED: {
    what: 'the archive may not be read or written by this user, or lies on a read-only disk',
    events: 'events stay in the log, which is not cut until they are archived; nothing is lost',
    fix: 'give the user of hooktrail its rights on the folder or the bucket of the archive back, or mount its disk writable',
    read: 'docs/operations.md',
  },
  ARCHIVE_CREDENTIALS_MISSING: {
    what: 'there are no credentials for the archive store: neither given nor found on this machine',
    events: 'events stay in the log, which is not cut until they are archived; nothing is lost',
    fix: 'set archive.credentials, or give the machine a role (archive commands: export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE)',
    read: 'docs/sizes.md',
  },
  ARCHIVE_CREDENTIALS_REFUSED: {
    what: 'the archive store does not know this access key, its secret is another one, or it has expired',
    events: 'events stay in the log, which is not cut until they are archived; nothing is lost',
    fix: 'correct archive.credentials, or what the environment, the shared file or the machine gives in their place (archive commands: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY); see that archive.endpoint names the store that made the key',
    read: 'docs/sizes.md',
  },
  ARCHIVE_BUCKET_MISSING: {
    what: 'the archive store has no bucket of this name',
    events:
      'events stay in the log, which is not cut until they are archived; when the bucket is there archiving goes on by itself',
    fix: 'correct archive.bucket and archive.endpoint, or make the bucket, with versioning and Object Lock',
    read: 'docs/sizes.md',
  },
  ARCHIVE_REGION_WRONG: {
    what: 'the bucket lies in another region than the one that was asked',
    events: 'events stay in the log, which is not cut until they are archived; nothing is lost',
    fix: 'set archive.region (archive commands: AWS_REGION) to the region of the bucket, which reason may name',
    read: 'docs/sizes.md',
  },
  ARCHIVE_DELETE_MARKER: {
    what: 'an object of the archive was deleted: a delete marker lies over its key',
    events: 'nothing is written over it; events stay in the log, which is not cut until they are archived',
    fix: 'find out who deleted it, then delete the marker by its version id: the object is back and archiving goes on by itself',
    read: 'docs/operations.md',
  },
  ARCHIVE_REPLACED: {
    what: 'another archive, or none, lies where the archive was opened',
    events: 'nothing is written there; events stay in the log, which is not cut until they are archived',
    fix: 'mount the disk of the archive, or put its folder back; archiving goes on by itself',
    read: 'docs/operations.md',
  },
  ARCHIVE_WORM_NOT_IN_FORCE: {
    what: 'archive.worm is required, and the store was not shown to keep what is locked',
    events: 'nothing was written to the archive; events stay in the log, which is not cut',
    fix: 'change what is named above and see hooktrail archive probe; worm: preferred archives without',
    read: 'docs/stores.md',
  },
  ARCHIVE_WITHOUT_LOCKS: {
    what: 'the archive is a folder, which has no object lock',
    events: 'nothing was changed',
    fix: 'archive.driver: s3, with a bucket that was made with Object Lock',
    read: 'docs/stores.md',
  },
  ARCHIVE_BUCKET_UNLOCKED: {
    what: 'the bucket is there and has no Object Lock, which is chosen when a bucket is made',
    events: 'nothing was changed',
    fix: 'name a bucket that is not there yet; hooktrail move copies an archive into it',
    read: 'docs/stores.md',
  },
  ARCHIVE_LOCK_MISSING: {
    what: 'an object that was written to the archive is not locked as it has to be',
    events: 'its segment is not signed; events stay in the log, which is not cut until they are archived',
    fix: 'hooktrail archive probe',
    read: 'docs/stores.md',
  },
  ARCHIVE_DIGEST_MISMATCH: {
    what: 'the bytes to store do not have the SHA-256 that was announced',
    events: 'the object was not created; the events stay in the log and are archived again',
    fix: 'check memory and disk of this machine',
    read,
  },
  ARCHIVE_OBJECT_TOO_LARGE: {
    what: 'an object of the archive is larger than its kind may be',
    events: 'the object was not read; nothing was changed',
    fix: 'hooktrail archive verify',
    read,
  },
  ARCHIVE_OBJECT_NOT_FILE: {
    what: 'where an object of the archive should be lies something that is no plain file',
    events: 'it was neither followed nor opened; nothing was changed',
    fix: 'hooktrail archive verify --key FILE.pub',
    read,
  },
  ARCHIVE_KEY_INVALID: {
    what: 'the name is not a valid object key',
    events: 'nothing was read or written',
    fix: 'use letters, digits and ._=- between slashes',
    read,
  },
  ARCHIVE_NOTE_INVALID: {
    what: 'a signed note is malformed or not signed by a known key',
    events: 'the note is not believed; events in the log are untouched',
    fix: 'hooktrail archive verify --key FILE.pub',
    read,
  },
  ARCHIVE_DOCUMENT_INVALID: {
    what: 'a document of the archive does not have the form of its kind',
    events: 'the document is not believed; events in the log are untouched',
    fix: 'hooktrail archive verify --key FILE.pub',
    read,
  },
  ARCHIVE_ROW_INVALID: {
    what: 'a row of a data object cannot be read',
    events: 'the events of this object cannot be read from here',
    fix: 'hooktrail archive verify --key FILE.pub',
    read,
  },
  ARCHIVE_SEGMENT_ALTERED: {
    what: 'a segment of the archive is not what its signed manifest says: it was changed or removed',
    events:
      'none of its events is delivered or shown from here; handlers that need them wait, all others go on, and nothing is skipped',
    fix: 'hooktrail archive verify --key FILE.pub names what was changed; put the object back from a copy, and reading goes on by itself',
    read: 'docs/operations.md',
  },
  ARCHIVE_RANGE_MISSING: {
    what: 'the log was cut behind this offset, and the archive does not hold it, or not yet',
    events:
      'handlers that stand there wait; once the archiver has signed the range as archived or lost they go on by themselves',
    fix: 'hooktrail archive status; start an archiver where none runs',
    read: 'docs/operations.md',
  },
  ARCHIVE_READER_MISSING: {
    what: 'this process would have to read the archive and cannot: it sees none, or lacks its public key',
    events:
      'what the log has forgotten is neither planned nor delivered by this process; nothing is lost, and what is in the log goes on',
    fix: 'give the process the same archive.* settings as the archiver has, with archive.public_key (hooktrail keys show prints it), or keys/archive.pub in its $HOOKTRAIL_HOME',
    read: 'docs/sizes.md',
  },
  ARCHIVE_NOT_FOUND: {
    what: 'there is no archive here',
    events: 'nothing was read or written',
    fix: 'name the folder, or bucket and prefix, that holds genesis.note',
    read,
  },
  ARCHIVE_OTHER_KEY: {
    what: 'the archive is signed by another key than the one given: it proves nothing',
    events: 'nothing was judged or changed',
    fix: 'give the public key of this archive; if it is the one given, the whole archive was replaced',
    read,
  },
  ARCHIVE_PUBLIC_KEY_INVALID: {
    what: 'the file given as public key holds none',
    events: 'nothing was judged or changed',
    fix: 'give archive.pub, one line "name+id+key", as hooktrail keys show prints it',
    read,
  },
  ARCHIVE_CHECKPOINT_INVALID: {
    what: 'the checkpoint cannot be read or written',
    events: 'nothing was changed in the archive',
    fix: 'give a file that --write-checkpoint wrote, in a folder outside the archive that you may write',
    read,
  },
  ARCHIVE_ANCHOR_FAILED: {
    what: 'a third party did not take the checkpoint of the archive',
    events: 'nothing waits for it: events are archived and signed, and it is tried again',
    fix: 'see that archive.anchors names an address that answers',
    read: 'docs/operations.md',
  },
  ARCHIVE_ANCHOR_INVALID: {
    what: 'what should be a time-stamp, a receipt or a certificate is none, or is of something else',
    events: 'nothing waits for it: events are archived and signed',
    fix: 'see that archive.anchors names a time-stamp authority of RFC 3161, and its own certificate',
    read: 'docs/operations.md',
  },
  ARCHIVE_EVENT_UNPROVEN: {
    what: 'this event cannot be proven from the archive',
    events: 'nothing was changed; what is not archived and signed yet is in the log',
    fix: 'hooktrail archive find, or wait for the next heartbeat',
    read: 'docs/auditor.md',
  },
  ARCHIVE_INDEX_INVALID: {
    what: 'the index of the archive cannot be used',
    events: 'nothing was changed; the archive needs no index',
    fix: 'delete the index and make it anew: hooktrail archive index',
    read: 'docs/readers.md',
  },
  ARCHIVE_PROOF_INVALID: {
    what: 'the proof is none: what it holds does not lead to a signature',
    events: 'nothing was changed',
    fix: 'ask for the proof again; hooktrail archive prove makes one from the archive',
    read: 'docs/auditor.md',
  },
  ARCHIVE_TOPIC_UNKNOWN: {
    what: 'the archive holds nothing of this topic',
    events: 'nothing was changed; what is not archived yet is in the log',
    fix: 'name one of the topics above',
    read,
  },
  ARCHIVE_DIFFERS: {
    what: 'an object of the archive holds something else than the log',
    events: 'archiving of this partition halts; the log is not cut and keeps every event',
    fix: 'hooktrail archive verify --key FILE.pub',
    read: 'docs/operations.md',
  },
  ARCHIVE_CHAIN_BEHIND: {
    what: 'the chain of manifests ends before the head that a heartbeat signed',
    events: 'archiving of this partition halts; the log is not cut and keeps every event',
    fix: 'hooktrail archive verify --key FILE.pub',
    read: 'docs/operations.md',
  },
  ARCHIVE_CHAIN_BROKEN: {
    what: 'a manifest or heartbeat does not follow the one before',
    events: 'archiving halts here; the log is not cut and keeps every event',
    fix: 'hooktrail archive verify --key FILE.pub',
    read: 'docs/operations.md',
  },
  ARCHIVE_FORK: {
    what: 'the log does not go on from what the archive already holds of it',
    events: 'archiving of this partition halts; the archive keeps what it has, and the log is not cut',
    fix: 'hooktrail archive status',
    read: 'docs/operations.md',
  },
  ARCHIVE_KEY_FILE_OPEN: {
    what: 'a secret file can be read by others',
    events: 'nothing was started; no event was accepted',
    fix: 'chmod 600 FILE',
    read: 'docs/operations.md',
  },
  ARCHIVE_KEY_FILE_INVALID: {
    what: 'a key file does not hold a key of the expected form',
    events: 'nothing was started; no event was accepted',
    fix: 'restore the file from its backup',
    read: 'docs/operations.md',
  },
} as const satisfies Record<string, ErrorText>
