/**
 * Says at start which handlers the configuration no longer has, with what they leave behind: their open jobs are
 * delivered by nobody, and nothing is planned for them. Nothing is changed: the name may come back.
 */
import type { Logger } from '../core/log.ts'
import type { JobStore } from '../core/ports/job-store.ts'

/** One line names them; more would be none. */
const NAMED_MAX = 20

export interface RemovedOptions {
  readonly store: Pick<JobStore, 'handlers' | 'openJobs'>
  readonly logger: Logger
  /** Names in the configuration. */
  readonly handlers: readonly string[]
}

export async function warnOfRemoved({ store, logger, handlers }: RemovedOptions): Promise<void> {
  const configured = new Set(handlers)
  const gone = (await store.handlers()).filter(({ handler }) => !configured.has(handler))
  if (gone.length === 0) return
  const open = new Map((await store.openJobs()).map((row) => [row.handler, row]))
  const openJobs = gone.slice(0, NAMED_MAX).map(({ handler }) => {
    const { available = 0, running = 0, retryable = 0 } = open.get(handler) ?? {}
    return [handler, available + running + retryable] as const
  })
  logger.warn(
    { handlers: gone.length, open_jobs: Object.fromEntries(openJobs) },
    'handlers are not in the configuration any more: nobody delivers their open jobs, and nothing is planned for ' +
      'them; see docs/operations.md, "A handler was removed"',
  )
}
