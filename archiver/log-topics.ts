/**
 * The topics of the log as they are now, asked for every few seconds. A topic that has another id ends the chain of the
 * one before, and a log that was put back together with its database goes on under other ids.
 */
import { isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { Topic } from '../core/ports/event-log.ts'
import type { ArchiverContext } from './archiver-context.ts'
import { closeChain } from './close-chain.ts'
import type { HeartbeatChain } from './heartbeat-chain.ts'
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

  constructor(options: LogTopicsOptions) {
    this.#options = options
  }

  /** As last asked for; null before. */
  get known(): readonly Topic[] | null {
    return this.#topics
  }

  /** Null while the log does not answer. */
  async ifAnswered(): Promise<readonly Topic[] | null> {
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
    await this.#replaceTravelled(now)
    this.#topics = await this.#options.context.log.topics()
    this.#topicsAt = now
    return this.#topics
  }

  async #replaceTravelled(now: number): Promise<void> {
    const { context, chain, topicPrefix, writers } = this.#options
    const { replaceableLog: log, store } = context
    if (log === undefined || store === null) return
    const isDoubtful = writers().some((each) => each.haltedBy !== null || each.retryingBecause !== null)
    const isFirst = this.#lookedBackAt === -Infinity
    if (!isFirst && (!isDoubtful || now - this.#lookedBackAt < TRAVELLED_MS)) return
    const travelled = { context, chain, log, store, topicPrefix }
    await replaceTravelled(travelled, AbortSignal.timeout(LOOK_MS_MAX))
    this.#lookedBackAt = now
  }

  /** Chains whose topic now has another id. A topic that is merely absent is left alone: the wrong database has none. */
  async closeReplaced(): Promise<void> {
    const { context, chain } = this.#options
    const ids = new Map((this.#topics ?? []).map(({ name, id }) => [name, id]))
    for (const row of chain.partitions()) {
      const key = `${row.topic}/${row.topic_id}/${row.partition}`
      const id = ids.get(row.topic)
      if (id === undefined || id === row.topic_id || this.#closed.has(key)) continue
      await closeChain(context, row)
      this.#closed.add(key)
    }
  }
}
