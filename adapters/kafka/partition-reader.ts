/**
 * Reading a partition by our own Fetch. A wait is cut into slices, so that a broker which falls silent is noticed; an
 * abort ends the connection that waits and asks once more without waiting.
 */
import type { API } from '@platformatic/kafka'
import type { Clock } from '../../core/clock.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { ReadRequest, ReadResult } from '../../core/ports/event-log.ts'
import { BrokerError, brokerErrorsOf } from './broker-error.ts'
import { classifyBatches } from './classify-batches.ts'
import type { Cluster } from './cluster.ts'
import { within } from './deadline.ts'
import { FETCH_BY_ID_FROM, fetchApis, type FetchedPartition, type FetchRequest } from './fetch-api.ts'

/** Less than the client waits for an answer. */
const SLICE_MS_MAX = 4_000
/** On top of the slice: the broker has to answer, leaders may move. */
const ANSWER_MS_MAX = 5_000
const FETCH_BYTES_MIN = 65_536
const FETCH_BYTES_MAX = 50 * 2 ** 20
const OUT_OF_RANGE = 'OFFSET_OUT_OF_RANGE'

export class PartitionReader {
  readonly #cluster: Cluster
  readonly #clock: Clock
  readonly #apis: readonly API<[FetchRequest], FetchedPartition>[]
  readonly #closing = new AbortController()
  readonly #reads = new Set<Promise<unknown>>()

  constructor(cluster: Cluster, clock: Clock, fetchVersionMax?: number) {
    this.#cluster = cluster
    this.#clock = clock
    this.#apis = fetchApis(fetchVersionMax)
  }

  /** @throws LOG_OFFSET_OUT_OF_RANGE, LOG_TOPIC_REPLACED, LOG_UNAVAILABLE, LOG_CORRUPT */
  async read(request: ReadRequest): Promise<ReadResult> {
    const read = this.#read(request)
    this.#reads.add(read)
    try {
      return await read
    } finally {
      this.#reads.delete(read)
    }
  }

  /** Ends the waits and lets the reads return. */
  async close(): Promise<void> {
    this.#closing.abort()
    await Promise.allSettled(this.#reads)
  }

  async #read(request: ReadRequest): Promise<ReadResult> {
    const giveUpAt = this.#clock.monotonic() + request.waitMsMax
    const signals = request.signal === undefined ? [] : [request.signal]
    const abort = AbortSignal.any([...signals, this.#closing.signal])
    for (;;) {
      const leftMs = abort.aborted ? 0 : Math.max(0, Math.ceil(giveUpAt - this.#clock.monotonic()))
      const waitMs = Math.min(leftMs, SLICE_MS_MAX)
      const result = await this.#slice(request, waitMs, abort)
      if (result !== null && (result.next > request.from || leftMs <= SLICE_MS_MAX)) return result
    }
  }

  /** Null when an abort cut the wait. */
  async #slice(request: ReadRequest, waitMs: number, abort: AbortSignal): Promise<ReadResult | null> {
    try {
      const signal = waitMs === 0 ? undefined : abort
      return await within(waitMs + ANSWER_MS_MAX, this.#clock, this.#fetch(request, waitMs, signal))
    } catch (error) {
      if (waitMs > 0 && abort.aborted) return null
      throw error
    }
  }

  async #fetch(request: ReadRequest, waitMs: number, signal?: AbortSignal): Promise<ReadResult> {
    const { from, topic, topicId, partition } = request
    const bytesMax = Math.min(Math.max(request.bytesMax, FETCH_BYTES_MIN), FETCH_BYTES_MAX)
    const at = { topic, topicId, partition }
    const ask: FetchRequest = { at, from, bytesMax, waitMs }
    try {
      const fetched = await this.#cluster.askLeader(at, async (broker) =>
        accepted(await this.#cluster.connections.ask(broker, this.#apis, [ask], signal)),
      )
      if (fetched.version < FETCH_BY_ID_FROM) await this.#cluster.confirm(at)
      const { lastStable, logStart } = fetched
      const { records, gaps, next, leaderEpochs } = classifyBatches(fetched, request)
      return { tier: 'log', records, gaps, next, logStart, highWatermark: lastStable, leaderEpochs }
    } catch (error) {
      if (!brokerErrorsOf(error).includes(OUT_OF_RANGE)) throw error
      throw new HooktrailError(
        'LOG_OFFSET_OUT_OF_RANGE',
        { from, ...(await this.#cluster.bounds(at)) },
        error,
      )
    }
  }
}

function accepted(fetched: FetchedPartition): FetchedPartition {
  if (fetched.errorCode !== 0) throw new BrokerError(fetched.errorCode)
  return fetched
}
