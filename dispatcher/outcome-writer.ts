/**
 * Writes outcomes in batches and never drops one: while the store does not answer it tries again until the process
 * must end, and the slots of those jobs stay taken meanwhile. A row that breaks its batch is found by halving and
 * written without its texts, so that one strange answer cannot hold up the others (lesson 23).
 * A crash leaves the job running; its lease expires and the attempt becomes `unknown` (I4).
 */
import { Batcher } from '../core/batcher.ts'
import type { Clock } from '../core/clock.ts'
import { isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { Logger } from '../core/log.ts'
import type { AttemptOutcome } from '../core/ports/delivery-store.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import { backoffMs, reasonOf } from './loop.ts'
import type { WaitList } from './wait-list.ts'

const BATCH_OUTCOMES_MAX = 200
/** One at a time, so that those which come meanwhile share the next. */
const BATCHES_IN_FLIGHT_MAX = 1
/** Callers hold a slot for each outcome; this only guards against a caller that does not. */
const PENDING_OUTCOMES_MAX = 100_000
const WAIT_NAME = 'outcomes'

export interface OutcomeWriterOptions {
  readonly store: Pick<JobStore, 'recordOutcomes' | 'ping'>
  readonly clock: Clock
  readonly logger: Logger
  readonly waits: WaitList
  /** Aborted when the process gives up waiting for the store. */
  readonly giveUp: AbortSignal
}

export type Recorded = 'recorded' | 'late' | 'given-up'

export class OutcomeWriter {
  readonly #options: OutcomeWriterOptions
  readonly #batcher: Batcher<AttemptOutcome, Recorded>

  constructor(options: OutcomeWriterOptions) {
    this.#options = options
    this.#batcher = new Batcher({
      run: (outcomes) => this.#write(outcomes),
      itemsMax: BATCH_OUTCOMES_MAX,
      inFlightMax: BATCHES_IN_FLIGHT_MAX,
      pendingMax: PENDING_OUTCOMES_MAX,
    })
  }

  write(outcome: AttemptOutcome): Promise<Recorded> {
    return this.#batcher.push(outcome)
  }

  async #write(outcomes: readonly AttemptOutcome[]): Promise<readonly Recorded[]> {
    const { store, clock, giveUp, waits, logger } = this.#options
    for (let failures = 0; ; failures++) {
      try {
        const late = await store.recordOutcomes(outcomes)
        if (failures > 0) waits.clear(WAIT_NAME)
        return outcomes.map(({ job }) => (late.has(job.jobId) ? 'late' : 'recorded'))
      } catch (error) {
        if (giveUp.aborted) {
          logger.error(
            { err: error, outcomes: outcomes.length },
            'outcomes are lost: attempts become unknown',
          )
          return outcomes.map(() => 'given-up')
        }
        waits.set(WAIT_NAME, reasonOf(error))
        if (failures === 0) logger.warn({ err: error }, 'outcomes wait for the job store')
        if (failures > 0 && (await this.#isRefused(error))) return this.#divide(outcomes)
        await clock.sleep(backoffMs(failures), giveUp)
      }
    }
  }

  /** True when the store answers and still does not take the rows. */
  async #isRefused(error: unknown): Promise<boolean> {
    if (isHooktrailError(error)) return false
    return this.#options.store.ping().then(
      () => true,
      () => false,
    )
  }

  async #divide(outcomes: readonly AttemptOutcome[]): Promise<readonly Recorded[]> {
    const [only] = outcomes
    if (outcomes.length === 1 && only !== undefined) return this.#write([withoutTexts(only)])
    const middle = outcomes.length >> 1
    const left = await this.#write(outcomes.slice(0, middle))
    return [...left, ...(await this.#write(outcomes.slice(middle)))]
  }
}

function withoutTexts(outcome: AttemptOutcome): AttemptOutcome {
  return { ...outcome, errorDetail: null, responseBody: null, remoteAddress: null, requestDigest: null }
}
