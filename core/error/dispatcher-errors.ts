/** Errors of the dispatcher area. */
import type { ErrorText } from './error-text.ts'

export const dispatcherErrors = {
  DISPATCHER_UNKNOWN_POOL: {
    what: 'no handler is in this pool',
    events: 'nothing was started; events wait in the log, and other dispatchers go on',
    fix: 'correct --pool, or set pool of a handler in hooktrail.yaml',
    read: 'docs/sizes.md',
  },
  DISPATCHER_UNKNOWN_HANDLER: {
    what: 'no handler has this name',
    events: 'nothing was started; events wait in the log, and other dispatchers go on',
    fix: 'correct --handler, or add the handler to hooktrail.yaml',
    read: 'docs/sizes.md',
  },
} as const satisfies Record<string, ErrorText>
