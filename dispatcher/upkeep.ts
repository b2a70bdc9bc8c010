/**
 * Small recurring duties: expired leases become attempts `unknown`, and the store's time slices are made ahead and
 * dropped when they are old and relayed. Any number of dispatchers may do them at once: the store decides.
 */
import type { WorkerConfig } from '../core/config/config.ts'
import type { Logger } from '../core/log.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import type { Metrics } from '../core/ports/metrics.ts'

const REAP_JOBS_MAX = 500
const REAP_MS = 1_000
const SLICES_MS = 10 * 60 * 1000

export interface UpkeepOptions {
  readonly store: Pick<JobStore, 'reapExpired' | 'maintainSlices'>
  readonly worker: WorkerConfig
  /** Age from which on no planning step can ask for a first sight of a key; null while that is not known. */
  readonly firstSeenMs: () => Promise<number | null>
  readonly logger: Logger
  readonly metrics: Metrics
}

/** Resolves with how many leases had expired. */
export async function reapStep({
  store,
  logger,
  metrics,
}: Omit<UpkeepOptions, 'firstSeenMs'>): Promise<number> {
  const reaped = await store.reapExpired(REAP_JOBS_MAX)
  if (reaped === 0) return 0
  metrics.count('attempts_unknown_total', {}, reaped)
  logger.warn({ jobs: reaped }, 'leases expired: their attempts are unknown')
  return reaped
}

export async function reapRun(options: UpkeepOptions): Promise<number> {
  return (await reapStep(options)) >= REAP_JOBS_MAX ? 0 : REAP_MS
}

export async function slicesStep({ store, worker, firstSeenMs, logger }: UpkeepOptions): Promise<number> {
  const dropped = await store.maintainSlices({
    doneHours: worker.retentionHours,
    deadHours: worker.deadRetentionHours,
    firstSeenMs: await firstSeenMs(),
  })
  if (dropped.length > 0) logger.info({ slices: dropped }, 'old slices dropped')
  return SLICES_MS
}
