/**
 * Gives takes back that sent nothing: no attempt is spent. Tries until the store answers or the process must end;
 * then the lease expires, which costs an attempt `unknown` but loses nothing.
 */
import { Batcher } from '../core/batcher.ts'
import type { Clock } from '../core/clock.ts'
import type { Logger } from '../core/log.ts'
import type { TakenJob } from '../core/ports/delivery-store.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import { backoffMs, reasonOf } from './loop.ts'
import type { WaitList } from './wait-list.ts'

type Returned = Parameters<JobStore['giveBack']>[0][number]

const BATCH_JOBS_MAX = 200
const PENDING_JOBS_MAX = 100_000
const WAIT_NAME = 'returned jobs'

export interface JobReturnerOptions {
  readonly store: Pick<JobStore, 'giveBack'>
  readonly clock: Clock
  readonly logger: Logger
  readonly waits: WaitList
  readonly giveUp: AbortSignal
}

export class JobReturner {
  readonly #options: JobReturnerOptions
  readonly #batcher: Batcher<Returned, null>

  constructor(options: JobReturnerOptions) {
    this.#options = options
    this.#batcher = new Batcher({
      run: (jobs) => this.#giveBack(jobs),
      itemsMax: BATCH_JOBS_MAX,
      inFlightMax: 1,
      pendingMax: PENDING_JOBS_MAX,
    })
  }

  async giveBack(
    job: TakenJob,
    how: { delayMs: number; reason: 'payload_unavailable' | 'transform_unavailable' | 'lease_too_short' },
  ): Promise<void> {
    this.#options.logger.debug({ job_id: job.jobId, ...how }, 'given back')
    await this.#batcher.push({ jobId: job.jobId, lease: job.lease, ...how })
  }

  async #giveBack(jobs: readonly Returned[]): Promise<readonly null[]> {
    const { store, clock, giveUp, waits, logger } = this.#options
    for (let failures = 0; !giveUp.aborted; failures++) {
      try {
        await store.giveBack(jobs)
        if (failures > 0) waits.clear(WAIT_NAME)
        break
      } catch (error) {
        if (failures === 0) logger.warn({ err: error }, 'returned jobs wait for the job store')
        waits.set(WAIT_NAME, reasonOf(error))
        await clock.sleep(backoffMs(failures), giveUp)
      }
    }
    return jobs.map(() => null)
  }
}
