/**
 * The topics of the log as they are now, asked for every few seconds. A topic that has another id ends the chain of the
 * one before, and a log that was put back together with its database goes on under other ids.
 */
import type { HeartbeatPartition } from '../core/archive/manifest.ts'
import { isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { Topic } from '../core/ports/event-log.ts'
import type { ArchiverContext } from './archiver-context.ts'
import { closeChain } from './close-chain.ts'
import { rowKey, type HeartbeatChain } from './heartbeat-chain.ts'
import type { WriterStatus } from './partition-writer.ts'
import { replaceTravelled } from './replace-travelled.ts'

const TOPICS_MS = 5_000
/** A partition that halts or fails may do so because the log was put back: that is looked at so often. */
const TRAVELLED_MS = 30_000
const LOOK_MS_MAX = 10 * 60_000

export interface LogTopicsOptions {
  readonly context: ArchiverContext
  readonly chain: HeartbeatChain
  readonly topicPrefix: string
  readonly writers: () => readonly WriterStatus[]
}

export class LogTopics {
  readonly #options: LogTopicsOptions
  readonly #closed = new Set<string>()
  #topics: readonly Topic[] | null = null
  #topicsAt = -Infinity
  /** Monotonic time of the last look whether the log was put back; the first is at the start. */
  #lookedBackAt = -Infinity
  /** Of connections, before that look. */
  #lossesSeen = 0

  constructor(options: LogTopicsOptions) {
    this.#options = options
  }

  /** As last asked for; null before. */
  get known(): readonly Topic[] | null {
    return this.#topics
  }

  /** False until somebody has looked whether the log was put back. */
  get isKnown(): boolean {
    const { replaceableLog, store } = this.#options.context
    return replaceableLog === undefined || store === null || this.#lookedBackAt !== -Infinity
  }

  /** Null while the log does not answer, or nobody has looked yet whether it was put back. */
  async ifAnswered(): Promise<readonly Topic[] | null> {
    if (!this.isKnown) return null
    try {
      return await this.fresh()
    } catch (error) {
      if (!isHooktrailError(error)) throw error
      return null
    }
  }

  async fresh(): Promise<readonly Topic[]> {
    const now = this.#options.context.clock.monotonic()
    if (this.#topics !== null && now - this.#topicsAt < TOPICS_MS) return this.#topics
    this.#topics = await this.#options.context.log.topics()
    this.#topicsAt = now
    return this.#topics
  }

  /**
   * At the start, and where a partition halts or fails: at once behind a connection that was lost, else every now and then.
   * @param flush commits what is buffered: by whoever steps the writers, and nobody else meanwhile
   */
  async lookBack(flush: () => Promise<void>): Promise<void> {
    const { context, chain, topicPrefix, writers } = this.#options
    const { replaceableLog: log, store, clock, lostConnections } = context
    if (log === undefined || store === null) return
    const [now, losses] = [clock.monotonic(), lostConnections?.() ?? 0]
    const isDoubtful = writers().some((each) => each.haltedBy !== null || each.retryingBecause !== null)
    const isDue = losses !== this.#lossesSeen || now - this.#lookedBackAt >= TRAVELLED_MS
    if (this.#lookedBackAt !== -Infinity && !(isDoubtful && isDue)) return
    const travelled = { context, chain, log, store, topicPrefix, flush }
    const replaced = await replaceTravelled(travelled, AbortSignal.timeout(LOOK_MS_MAX))
    this.#lookedBackAt = now
    this.#lossesSeen = losses
    if (replaced > 0) this.#topics = null
  }

  /** Chains whose topic now has another id. A topic that is merely absent is left alone: the wrong database has none. */
  async closeReplaced(): Promise<void> {
    const { context } = this.#options
    if (this.#replaced(this.#topics ?? []).length === 0) return
    // The chain may tell of a topic that was made after they were asked for, and that another archiver writes.
    this.#topics = await context.log.topics()
    for (const row of this.#replaced(this.#topics)) {
      await closeChain(context, row)
      this.#closed.add(rowKey(row))
    }
  }

  #replaced(topics: readonly Topic[]): readonly HeartbeatPartition[] {
    const ids = new Map(topics.map(({ name, id }) => [name, id]))
    return this.#options.chain
      .partitions()
      .filter(
        (row) => (ids.get(row.topic) ?? row.topic_id) !== row.topic_id && !this.#closed.has(rowKey(row)),
      )
  }
}
