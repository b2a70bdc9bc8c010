/**
 * Reads what a planning step is about, from log and archive as one. An archive that cannot be read stops only the
 * handlers that need it: whoever stands in the log is planned on.
 */
import type { Clock } from '../core/clock.ts'
import { isHooktrailError, type HooktrailError } from '../core/error/hooktrail-error.ts'
import { cutRead } from '../core/plan/cut-read.ts'
import type { EventLog, ReadResult, TopicPartition } from '../core/ports/event-log.ts'
import { INDEX_HANDLER } from '../core/ports/plan-store.ts'
import type { StepChoice } from './choose-step.ts'
import type { HandlerLags } from './handler-lags.ts'
import type { StuckHandlers } from './stuck-handlers.ts'

export const STEP_BYTES_MAX = 4 * 1024 * 1024

export interface StepReaderOptions {
  readonly at: TopicPartition
  /** Log and archive as one: a backlog goes on where the log was cut. */
  readonly log: Pick<EventLog, 'read'>
  readonly clock: Clock
  readonly lags: Pick<HandlerLags, 'note'>
}

export interface StepRead {
  readonly recordsMax: number
  readonly waitMs: number
  readonly signal: AbortSignal
}

export class StepReader {
  readonly #options: StepReaderOptions
  readonly #stuck: StuckHandlers

  constructor(options: StepReaderOptions, stuck: StuckHandlers) {
    this.#options = options
    this.#stuck = stuck
  }

  /** Null where the archive would be needed and cannot be read now. @throws what the log throws */
  async read(choice: StepChoice, { recordsMax, waitMs, signal }: StepRead): Promise<ReadResult | null> {
    const room = choice.until === null ? recordsMax : Number(choice.until - choice.first)
    try {
      const result = await this.#options.log.read({
        ...this.#options.at,
        from: choice.first,
        recordsMax: Math.min(recordsMax, room),
        bytesMax: STEP_BYTES_MAX,
        waitMsMax: waitMs,
        signal,
      })
      this.#measureLag(choice, result)
      if (result.next === choice.first && result.tier === 'archive') this.#stuck.await(choice.handlers)
      else this.#stuck.goOn(choice.handlers)
      return cutRead(result, choice.until)
    } catch (error) {
      // Who stands in the log is planned on: only these wait for the archive.
      if (choice.kind === 'index' || !isOfArchive(error)) throw error
      this.#stuck.fail(choice.handlers, choice.first, error)
      return null
    }
  }

  #measureLag({ handlers, first }: StepChoice, { highWatermark, records }: ReadResult): void {
    const { clock, lags, at } = this.#options
    const [oldest] = records
    const lagMs = oldest === undefined ? 0 : clock.now() - Number(oldest.timestampMs)
    const lag = { records: Number(highWatermark - first), seconds: Math.max(lagMs, 0) / 1000 }
    for (const handler of handlers) if (handler !== INDEX_HANDLER) lags.note(handler, at.partition, lag)
  }
}

/** The log itself is there, and does not hold the offset any more; what failed is reading it elsewhere. */
function isOfArchive(error: unknown): error is HooktrailError {
  return (
    isHooktrailError(error) && (error.code.startsWith('ARCHIVE_') || error.code === 'LOG_OFFSET_OUT_OF_RANGE')
  )
}
