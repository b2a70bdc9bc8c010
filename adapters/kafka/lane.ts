/**
 * One partition's way into the log: what waits, and the one batch that is on its way. The batch stays as it is, with its
 * producer and sequence, until it is settled; only then does the next one form.
 */
import type { AppendRecord, LogPosition, TopicPartition } from '../../core/ports/event-log.ts'
import { BATCH_HEADER_BYTES, sequenceAfter, type ProducerState } from './record-batch.ts'

export interface Waiting {
  readonly record: AppendRecord
  readonly bytes: number
  readonly position: PromiseWithResolvers<LogPosition>
}

export interface Batch {
  readonly waiting: readonly Waiting[]
  readonly bytes: number
}

export class Lane {
  readonly at: TopicPartition
  waiting: Waiting[] = []
  batch: Batch | null = null
  producer: ProducerState | null = null
  isUnderWay = false
  /** The error that the broker told last, so that it is logged once. */
  trouble: string | null = null

  constructor(at: TopicPartition) {
    this.at = at
  }

  isReady(): boolean {
    return !this.isUnderWay && (this.batch !== null || this.waiting.length > 0)
  }

  /** The batch to repeat, else as many records as fit and at least one. */
  nextBatch(bytesMax: number): Batch {
    if (this.batch !== null) return this.batch
    let bytes = BATCH_HEADER_BYTES
    let length = 0
    for (const next of this.waiting) {
      if (length > 0 && bytes + next.bytes > bytesMax) break
      bytes += next.bytes
      length++
    }
    this.batch = { waiting: this.waiting.splice(0, length), bytes }
    return this.batch
  }

  resolve(positionOf: (index: number) => LogPosition): void {
    this.#settle((waiting, index) => {
      waiting.position.resolve(positionOf(index))
    })
  }

  reject(error: unknown): void {
    this.#settle((waiting) => {
      waiting.position.reject(error)
    })
  }

  rejectAll(error: unknown): void {
    this.reject(error)
    for (const waiting of this.waiting.splice(0)) waiting.position.reject(error)
  }

  takeBack(gone: ReadonlySet<Waiting>): void {
    const kept = this.waiting.filter((waiting) => !gone.has(waiting))
    const dropped = this.waiting.filter((waiting) => gone.has(waiting))
    this.waiting = kept
    for (const { position } of dropped) position.reject(new Error('given up before it was sent'))
  }

  #settle(tell: (waiting: Waiting, index: number) => void): void {
    const { batch, producer } = this
    if (batch === null) return
    this.batch = null
    if (producer !== null) producer.sequence = sequenceAfter(producer.sequence, batch.waiting.length)
    batch.waiting.forEach(tell)
  }
}
