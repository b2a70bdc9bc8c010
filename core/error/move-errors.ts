/** Errors of moving from one size to another. */
import type { ErrorText } from './error-text.ts'

const read = 'docs/sizes.md'

export const moveErrors = {
  STORE_MOVED: {
    what: 'this installation was moved: it goes on at the place that is named',
    events: 'nothing was started; what was received here is there, and new events belong there',
    fix: 'start hooktrail with the configuration that it was moved to, and point senders there',
    read,
  },
  STORE_MOVE_UNFINISHED: {
    what: 'a move of this installation has begun and is not whole',
    events: 'nothing was started or accepted; nothing is lost, both sides keep what they have',
    fix: 'run the same hooktrail move again: it goes on where it was; or add --cancel, and the old side may start again',
    read,
  },
  MOVE_SOURCE_RUNNING: {
    what: 'processes of hooktrail still run on a database that is to be moved',
    events: 'nothing was changed; they go on',
    fix: 'stop every process of hooktrail on both sides, then run hooktrail move again',
    read,
  },
  MOVE_TARGET_NOT_EMPTY: {
    what: 'the place to move to already holds something else',
    events: 'nothing was copied over it; the old side keeps everything',
    fix: 'name an empty database (or DROP SCHEMA hooktrail CASCADE there), topics without records (another cluster) and another archive.prefix',
    read,
  },
  MOVE_KEY_DIFFERS: {
    what: 'the new configuration has another key than the old one',
    events:
      'nothing was changed: with other keys duplicates would not be recognised, or the archive not continued',
    fix: 'take the keys along: digest_key and archive.signing_key of the new configuration must be those of $HOOKTRAIL_HOME/keys',
    read,
  },
  MOVE_UNSUPPORTED: {
    what: 'hooktrail move cannot make this change',
    events: 'nothing was changed',
    fix: 'correct what is named in reason',
    read,
  },
  MOVE_BACKLOG_TOO_LONG: {
    what: 'a handler is too far behind to be moved',
    events: 'nothing was planned or copied; its events stay in the log and in the archive',
    fix: 'add --cancel, start the old side and let the handler catch up',
    read,
  },
  MOVE_ARCHIVE_HALTED: {
    what: 'archiving has halted, so that the log cannot be left behind',
    events: 'nothing was copied; the log keeps every event',
    fix: 'hooktrail archive verify --key FILE.pub',
    read: 'docs/operations.md',
  },
} as const satisfies Record<string, ErrorText>
