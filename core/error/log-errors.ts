/** Errors of the log: appending, reading, topics. */
import type { ErrorText } from './error-text.ts'

export const logErrors = {
  LOG_UNAVAILABLE: {
    what: 'the log did not acknowledge in time',
    events:
      'the request is answered 503; the sender sends the event again, and a copy that did land becomes a duplicate',
    fix: 'hooktrail status',
    read: 'docs/operations.md',
  },
  LOG_OFFSET_OUT_OF_RANGE: {
    what: 'the offset lies outside what the log holds',
    events: 'events before the start of the log are in the archive',
    fix: 'hooktrail archive cat',
    read: 'docs/operations.md',
  },
  LOG_TOPIC_REPLACED: {
    what: 'the topic has another id than the position names',
    events:
      'the position belongs to an earlier topic of the same name; nothing is read from the new one in its place',
    fix: 'hooktrail status',
    read: 'docs/operations.md',
  },
  LOG_REFUSED: {
    what: 'the brokers of the log refuse these credentials, or what they may do does not suffice',
    events:
      'nothing is accepted, and senders repeat what is answered 503; what was acknowledged is kept in the log',
    fix: 'correct log.sasl and log.tls, or let this user create, describe, read, write and delete records on the topics below log.topic_prefix',
    read: 'docs/operations.md',
  },
  LOG_TOPIC_SETTINGS: {
    what: 'a topic is not set up so that the log can be trusted',
    events: 'nothing was started and nothing accepted: acknowledged events could be lost or forgotten early',
    fix: 'change what details name with kafka-configs.sh (or rpk topic alter-config), or let hooktrail create the topic',
    read: 'docs/operations.md',
  },
  LOG_CORRUPT: {
    what: 'the log gave back what does not have its checksum or cannot be read, or misses a record that it acknowledged',
    events:
      'nothing is read past it, so that no event is skipped; the log and the archive keep what they have',
    fix: 'read the partition from another replica, and check disk and memory of the broker that leads it; on Postgres put the database back to a backup that has the row',
    read: 'docs/operations.md',
  },
  LOG_FSYNC_OFF: {
    what: 'the database that holds the log runs with fsync or full_page_writes off',
    events: 'nothing was accepted: an acknowledged event could be lost with the power',
    fix: 'ALTER SYSTEM SET fsync = on; ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf()',
    read: 'docs/operations.md',
  },
} as const satisfies Record<string, ErrorText>
