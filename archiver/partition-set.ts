/**
 * The writers of this process, one a partition, within global budgets. Steps run one after the other: there is one
 * upload at a time, and the largest open segments are sealed early when the spool grows past its budget.
 */
import type { OpenRoot } from '../core/archive/running-roots.ts'
import type { Topic, TopicPartition } from '../core/ports/event-log.ts'
import { partitionKey, type ArchiverContext } from './archiver-context.ts'
import type { HeartbeatChain } from './heartbeat-chain.ts'
import { partitionsOf } from './heartbeat-writer.ts'
import { PartitionWriter, type WriterStatus, type WriterStep } from './partition-writer.ts'

/** Of uncompressed rows in all open segments. */
const SPOOL_BYTES_MAX = 1024 * 1024 * 1024
/** A writer that has much to read gives the others their turn after so many steps. */
const STEPS_PER_TURN = 8
/** Put, commit, and room for what turns out to be adopted first. */
const FLUSH_STEPS_MAX = 16

export class PartitionSet {
  readonly #context: ArchiverContext
  readonly #chain: HeartbeatChain
  readonly #writers = new Map<string, PartitionWriter>()

  constructor(context: ArchiverContext, chain: HeartbeatChain) {
    this.#context = context
    this.#chain = chain
  }

  statuses(): readonly WriterStatus[] {
    return [...this.#writers.values()].map((writer) => writer.status())
  }

  openRoots(): readonly OpenRoot[] {
    return [...this.#writers.values()].map((writer) => writer.openRoot()).filter((root) => root !== null)
  }

  /** Whether its log was not compared since a connection was lost. */
  isDoubted(at: TopicPartition): boolean {
    return this.#writers.get(partitionKey(at))?.isDoubted ?? false
  }

  /** By partitionKey. */
  halted(): ReadonlySet<string> {
    const halted = this.statuses().filter(({ haltedBy }) => haltedBy !== null)
    return new Set(halted.map(({ at }) => partitionKey(at)))
  }

  /**
   * Begins what is new; what is no longer held, or whose topic is gone, is flushed and let go. Not where the log was put
   * back: whoever replaced the topic has closed its chain, and the store was made whole from what that held.
   */
  async assign(topics: readonly Topic[], held: ReadonlySet<string>): Promise<void> {
    const wanted = new Map(
      topics
        .filter(({ name }) => held.has(name))
        .flatMap(partitionsOf)
        .map((at) => [partitionKey(at), at] as const),
    )
    const ids = new Set(topics.map(({ id }) => id))
    for (const [key, writer] of this.#writers) {
      if (wanted.has(key)) continue
      if (ids.has(writer.at.topicId) || !writer.isDoubted) await flushWriter(writer)
      await writer.dispose()
      this.#writers.delete(key)
    }
    for (const [key, at] of wanted) {
      if (this.#writers.has(key)) continue
      this.#writers.set(key, new PartitionWriter(this.#context, at, (of) => this.#chain.row(of)))
    }
  }

  /** A turn for every writer. @returns true when one of them has more to do at once. */
  async step(signal: AbortSignal): Promise<boolean> {
    let hasMore = false
    await this.#keepBudget()
    for (const writer of this.#writers.values()) {
      let step: WriterStep = 'progress'
      for (let n = 0; n < STEPS_PER_TURN && step === 'progress' && !signal.aborted; n++)
        step = await writer.step()
      hasMore ||= step === 'progress'
    }
    return hasMore
  }

  /** Commits what is buffered, as far as log and archive let it. */
  async flush(): Promise<void> {
    for (const writer of this.#writers.values()) {
      writer.hurry()
      await flushWriter(writer)
    }
  }

  async dispose(): Promise<void> {
    for (const writer of this.#writers.values()) await writer.dispose()
    this.#writers.clear()
  }

  async #keepBudget(): Promise<void> {
    let bytes = 0
    for (const { bufferedBytes } of this.#writers.values()) bytes += bufferedBytes
    if (bytes <= SPOOL_BYTES_MAX) return
    const largest = [...this.#writers.values()].sort((a, b) => b.bufferedBytes - a.bufferedBytes)
    for (const writer of largest) {
      if (bytes <= SPOOL_BYTES_MAX / 2) return
      bytes -= writer.bufferedBytes
      await flushWriter(writer)
    }
  }
}

async function flushWriter(writer: PartitionWriter): Promise<void> {
  await writer.seal()
  for (let n = 0; n < FLUSH_STEPS_MAX && !writer.isFlushed; n++) {
    const step = await writer.step()
    if (step !== 'progress') return
  }
}
