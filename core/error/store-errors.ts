/** Errors of the store: the database, hooktrail's own Postgres, its folder and its schema. */
import type { ErrorText } from './error-text.ts'

export const storeErrors = {
  STORE_UNAVAILABLE: {
    what: 'the database does not answer',
    events:
      'nothing is accepted or delivered until it is back; what was acknowledged is kept, and work resumes by itself',
    fix: 'hooktrail status',
    read: 'docs/operations.md',
  },
  STORE_FULL: {
    what: 'the disk of the database is full',
    events: 'new events are answered 503 and the senders repeat them; what was acknowledged is kept',
    fix: 'free space on the disk of the database; a shorter log.retention frees the log sooner',
    read: 'docs/operations.md',
  },
  STORE_REFUSED: {
    what: 'the database refuses this user',
    events: 'nothing was started and nothing accepted; events that are stored stay as they are',
    fix: 'correct user and password in database.url; the user must own the database, or its schema hooktrail',
    read: 'docs/config.md',
  },
  STORE_DIGEST_KEY_MISMATCH: {
    what: 'the store was made with another digest key',
    events: 'nothing was started: with another key duplicates of earlier events would not be recognised',
    fix: 'set digest_key to the key that the store was made with (on one box: $HOOKTRAIL_HOME/keys/digest.key)',
    read: 'docs/operations.md',
  },
  STORE_ARCHIVE_MISMATCH: {
    what: 'the store belongs to another archive',
    events: 'nothing was started: two archives would each hold a part of the history',
    fix: 'point archive.directory, or archive.bucket and archive.prefix, at the archive that the store was made with',
    read: 'docs/operations.md',
  },
  STORE_LOST: {
    what: 'the job store is empty, and log or archive tell of one that was not',
    events:
      'events are accepted and kept; nothing is planned or delivered: with an empty store everything would be sent again',
    fix: 'stop every process, run hooktrail store rebuild -c hooktrail.yaml, and start again',
    read: 'docs/backup.md',
  },
  STORE_NOT_EMPTY: {
    what: 'the job store that was to be rebuilt holds something',
    events: 'nothing was changed; a store that is older than the log is made whole by every start, by itself',
    fix: 'set database.url to an empty database, or start hooktrail with this one',
    read: 'docs/backup.md',
  },
  STORE_UNKNOWN: {
    what: 'neither log nor archive tells of a job store',
    events: 'nothing was changed: there is nothing to rebuild from',
    fix: 'check log and archive in the configuration; a new installation needs no rebuild: hooktrail start',
    read: 'docs/backup.md',
  },
  STORE_IN_USE: {
    what: 'processes are connected to the job store that is to be rebuilt',
    events: 'nothing was changed',
    fix: 'stop every hooktrail process on this database, and run it again',
    read: 'docs/backup.md',
  },
  STORE_SCHEMA_NEWER: {
    what: 'the schema of the database is newer than this version of hooktrail',
    events: 'nothing was started or changed; events that are stored stay as they are',
    fix: 'start the version of hooktrail that migrated the database, or a later one',
    read: 'docs/operations.md',
  },
  STORE_SCHEMA_CHANGED: {
    what: 'a migration that was applied has other content than the file of the same number',
    events: 'nothing was started or changed; events that are stored stay as they are',
    fix: 'reinstall this version of hooktrail: npm ci',
    read: 'docs/operations.md',
  },
  STORE_HOME_LOCKED: {
    what: 'another hooktrail runs on this folder',
    events: 'nothing was started; the other process goes on',
    fix: 'stop the process that is named, or set HOOKTRAIL_HOME to another folder',
    read: 'docs/operations.md',
  },
  STORE_HOME_TOO_OPEN: {
    what: 'the folder of hooktrail can be entered by other users of this machine',
    events: 'nothing was started: the folder holds payloads, keys and a database without passwords',
    fix: 'chmod 700 $HOOKTRAIL_HOME',
    read: 'docs/operations.md',
  },
  STORE_HOME_NOT_WRITABLE: {
    what: 'the folder of hooktrail cannot be made or written',
    events: 'nothing was started and nothing accepted',
    fix: 'set HOOKTRAIL_HOME to a folder that this user may write',
    read: 'docs/operations.md',
  },
  STORE_POSTGRES_MAJOR: {
    what: 'the data folder was made by another major version of Postgres',
    events: 'nothing was started or changed; events that are stored stay as they are',
    fix: 'start the version of hooktrail that made it, let it deliver and archive everything, then move $HOOKTRAIL_HOME/postgres away',
    read: 'docs/operations.md',
  },
  STORE_POSTGRES_FAILED: {
    what: "hooktrail's own Postgres did not start",
    events: 'nothing was accepted; events that are stored stay as they are',
    fix: 'read the end of $HOOKTRAIL_HOME/postgres.log',
    read: 'docs/operations.md',
  },
  STORE_POSTGRES_AS_ROOT: {
    what: 'Postgres refuses to run as root, and this machine lets hooktrail use no other user',
    events: 'nothing was started and nothing accepted',
    fix: 'start hooktrail as a user other than root, or set database.url',
    read: 'docs/operations.md',
  },
} as const satisfies Record<string, ErrorText>
