/**
 * The archiver as a service: a loop for each of its steps, until it is stopped; then what is buffered is committed and
 * signed. Outages are waited out by each loop for itself; anything else ends the service.
 */
import { NEVER } from '../core/deadline.ts'
import { explanationOf } from '../core/error/explanation-of.ts'
import { isHooktrailError } from '../core/error/hooktrail-error.ts'
import { messageOf } from '../core/error/message-of.ts'
import type { Service } from '../core/service.ts'
import type { ArchiverDeps } from './archiver-context.ts'
import { publishStatus, type ArchiverStatus } from './archiver-status.ts'
import type { Archiver, ArchiverConfig } from './archiver.ts'
import { createArchiver } from './create-archiver.ts'

const CUT_MS_MAX = 60_000
const PROTECT_MS = 5_000
/** An idle archiver looks for new records this often; a busy one gathers them this long. */
const POLL_MS_MIN = 1_000
const POLL_MS_MAX = 2_000
const HEARTBEAT_TICK_MS_MAX = 5_000
const RETRY_MS = 500
const RETRY_MS_MAX = 30_000
const RETRY_DOUBLINGS_MAX = 6
/** A stop reads so long on in the log: what was acknowledged before it is archived, unless there is a backlog. */
const REST_MS_MAX = 3_000
const REST_TURNS_MAX = 1_000

/** Of a loop. @returns how long it waits then, in milliseconds */
type Step = (signal: AbortSignal) => Promise<number>

type ServiceDeps = Pick<ArchiverDeps, 'clock' | 'logger' | 'metrics'>

/** @throws STORE_ARCHIVE_MISMATCH, ARCHIVE_NOTE_INVALID, ARCHIVE_STORE_FULL, ARCHIVE_STORE_UNAVAILABLE */
export async function startArchiver(config: ArchiverConfig, deps: ArchiverDeps): Promise<ArchiverService> {
  return new ArchiverService(await createArchiver(config, deps), config, deps)
}

export class ArchiverService implements Service {
  readonly done: Promise<void>
  readonly #archiver: Archiver
  readonly #deps: ServiceDeps
  readonly #stopping = new AbortController()
  /** Of each loop whose last step failed: for what it waits. */
  readonly #waits = new Map<Step, string>()

  constructor(archiver: Archiver, config: ArchiverConfig, deps: ServiceDeps) {
    this.#archiver = archiver
    this.#deps = deps
    this.done = this.#runAll(this.#steps(config)).finally(() => this.#finishQuietly())
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.done
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  status(): ArchiverStatus {
    return this.#archiver.status(this.waitingFor())
  }

  waitingFor(): string | null {
    return this.#waits.values().next().value ?? null
  }

  #steps({ archive, log }: ArchiverConfig): readonly Step[] {
    const archiver = this.#archiver
    const heartbeatTickMs = Math.min(HEARTBEAT_TICK_MS_MAX, Math.max(1, archive.heartbeatMs / 4))
    return [
      this.#archiveTick(),
      every(heartbeatTickMs, () => archiver.heartbeatStep()),
      every(archive.runningRootMs, () => archiver.runningStep()),
      every(PROTECT_MS, () => archiver.keyStep()),
      async () => ((await archiver.protectStep()) ? 0 : PROTECT_MS),
      every(heartbeatTickMs, (signal) => archiver.derivedStep(signal)),
      every(Math.min(CUT_MS_MAX, log.retentionMs), () => archiver.cutStep()),
    ]
  }

  #archiveTick(): (signal: AbortSignal) => Promise<number> {
    let pollMs = POLL_MS_MIN
    let lag: bigint | null = null
    return async (signal) => {
      const hasMore = await this.#archiver.archiveStep(signal)
      const status = this.status()
      publishStatus(this.#deps.metrics, status)
      pollMs = status.lagRecords === lag ? Math.min(POLL_MS_MAX, pollMs * 2) : POLL_MS_MIN
      lag = status.lagRecords
      return hasMore ? 0 : pollMs
    }
  }

  async #runAll(steps: readonly Step[]): Promise<void> {
    const loops = steps.map((step) =>
      this.#run(step).catch((error: unknown) => {
        this.#stopping.abort()
        throw error
      }),
    )
    await Promise.all(loops)
  }

  /** Operational errors are waited out; anything else ends the service. */
  async #run(step: Step): Promise<void> {
    const { clock, logger } = this.#deps
    const { signal } = this.#stopping
    let failures = 0
    while (!signal.aborted) {
      let waitMs: number
      try {
        waitMs = await step(signal)
        failures = 0
        this.#waits.delete(step)
      } catch (error) {
        if (!isHooktrailError(error) || error.code === 'STORE_ARCHIVE_MISMATCH') throw error
        failures += 1
        waitMs = Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** Math.min(failures, RETRY_DOUBLINGS_MAX))
        this.#waits.set(step, explanationOf(error))
        this.#noteFailure(error, failures)
      }
      if (waitMs > 0) await clock.sleep(waitMs, signal)
    }
    logger.debug({}, 'an archiver loop ended')
  }

  #noteFailure(error: unknown, failures: number): void {
    const fields = { error: messageOf(error), details: isHooktrailError(error) ? error.details : {} }
    this.#archiver.noteFault(error)
    if (failures === 1) this.#deps.logger.error(fields, 'the archiver waits and tries again')
  }

  async #readRest(): Promise<void> {
    const { clock } = this.#deps
    const until = clock.monotonic() + REST_MS_MAX
    const isLate = (turns: number): boolean => turns >= REST_TURNS_MAX || clock.monotonic() > until
    for (let turns = 0; !isLate(turns); turns++) if (!(await this.#archiver.readRest(NEVER))) return
  }

  async #finishQuietly(): Promise<void> {
    try {
      await this.#readRest()
      await this.#archiver.finish()
    } catch (error) {
      this.#deps.logger.warn(
        { error: messageOf(error) },
        'the last segments stay in the log until the next start',
      )
    }
  }
}

function every(ms: number, step: (signal: AbortSignal) => Promise<unknown>): Step {
  return async (signal) => {
    await step(signal)
    return ms
  }
}
