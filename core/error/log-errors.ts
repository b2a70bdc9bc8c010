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
  LOG_FSYNC_OFF: {
    what: 'the database that holds the log runs with fsync or full_page_writes off',
    events: 'nothing was accepted: an acknowledged event could be lost with the power',
    fix: 'ALTER SYSTEM SET fsync = on; ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf()',
    read: 'docs/operations.md',
  },
} as const satisfies Record<string, ErrorText>
