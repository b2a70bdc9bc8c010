/** Errors of the config area. */
import type { ErrorText } from './error-text.ts'

const read = 'docs/config.md'

export const configErrors = {
  CONFIG_INVALID: {
    what: 'the configuration has faults',
    events: 'nothing was started or changed; no event was accepted',
    fix: 'hooktrail validate',
    read,
  },
  CONFIG_FILE_UNREADABLE: {
    what: 'the configuration file cannot be read',
    events: 'nothing was started or changed; no event was accepted',
    fix: 'hooktrail init, or name the file with -c; the overlay of --env lies beside it',
    read,
  },
  CONFIG_FILE_EXISTS: {
    what: 'the configuration file is there already',
    events: 'nothing was written',
    fix: 'name another file with -c',
    read,
  },
} as const satisfies Record<string, ErrorText>
