/**
 * Plans replays, whoever serves their handlers: as a handler that is behind is caught up, by the same planner, within its
 * own bounds and up to the end of its ranges. The store says which there are; a planner lives as long as its range has
 * something left. A crash leaves each at a committed position, and the next dispatcher goes on there.
 */
import { AssertionError } from 'node:assert/strict'
import type { Clock } from '../core/clock.ts'
import type { Config, HandlerConfig, SourceConfig } from '../core/config/config.ts'
import { NEVER } from '../core/deadline.ts'
import type { Logger } from '../core/log.ts'
import type { EventLog, TopicPartition } from '../core/ports/event-log.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import type { Metrics } from '../core/ports/metrics.ts'
import type { OpenReplay, RangeProgress } from '../core/ports/replay-store.ts'
import { compileReplay } from '../core/replay/replay-handler.ts'
import { LEASE_RETRY_MS, type Lease } from './lease.ts'
import { HourlyNotice } from './hourly-notice.ts'
import { backoffMs, reasonOf } from './loop.ts'
import { PartitionPlanner } from './partition-planner.ts'
import type { PayloadCache } from './payload-cache.ts'
import type { ReplayTakes } from './replay-takes.ts'
import type { WaitList } from './wait-list.ts'

/** How soon a replay that somebody asks for begins, and one that is over ends. */
const LOOK_MS = 1_000
/** While ranges have something left that cannot be planned now: a bound, or a segment that is being fetched. */
const WAIT_MS = 50

export interface ReplayDeskOptions {
  readonly config: Pick<Config, 'sources' | 'handlers' | 'generation'>
  /** Of the handlers that are sent here. */
  readonly takes: ReadonlyMap<string, ReplayTakes>
  readonly bodyDigest: (body: Buffer) => Buffer
  /** Log and archive as one. */
  readonly log: Pick<EventLog, 'read'>
  readonly store: Pick<
    JobStore,
    'openReplays' | 'settleReplays' | 'replayPositions' | 'commitReplayStep' | 'ping'
  >
  readonly newLease: (name: string) => Lease
  readonly payloads: PayloadCache
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
  readonly waits: WaitList
}

interface RangePlanner {
  readonly planner: PartitionPlanner
  readonly lease: Lease
  /** Of its lease, and of what it waits for. */
  readonly name: string
  /** Monotonic; while another dispatcher plans it, and after a failure. */
  restsUntil: number
  failures: number
}

export class ReplayDesk {
  readonly #options: ReplayDeskOptions
  /** By replay, place and status: what is counted is bounded otherwise than what is planned. */
  readonly #planners = new Map<string, RangePlanner>()
  #lookedAt = -Infinity

  constructor(options: ReplayDeskOptions) {
    this.#options = options
  }

  /** One look where it is time, and one step of each range. Resolves with the milliseconds until the next. */
  async step(signal: AbortSignal): Promise<number> {
    const now = this.#options.clock.monotonic()
    if (now - this.#lookedAt >= LOOK_MS) {
      await this.look()
      this.#lookedAt = now
    }
    const committed = await this.#stepAll(signal)
    if (committed > 0) return 0
    return this.#planners.size === 0 ? LOOK_MS : WAIT_MS
  }

  /** What fails is tried again by itself and holds up no other. */
  async #stepAll(signal: AbortSignal): Promise<number> {
    const { clock, waits } = this.#options
    let committed = 0
    for (const range of this.#planners.values())
      try {
        if (clock.monotonic() < range.restsUntil) continue
        const step = await range.planner.step(signal, 0)
        if (step === 'committed') committed += 1
        if (step === 'not-leased') range.restsUntil = clock.monotonic() + LEASE_RETRY_MS
        if (range.failures > 0) waits.clear(range.name)
        range.failures = 0
      } catch (error) {
        if (error instanceof AssertionError) throw error
        this.#fail(range, error)
      }
    return committed
  }

  #fail(range: RangePlanner, error: unknown): void {
    const { clock, waits, logger } = this.#options
    range.restsUntil = clock.monotonic() + backoffMs(range.failures++)
    const isNew = waits.set(range.name, reasonOf(error))
    logger[isNew ? 'warn' : 'debug']({ range: range.name, err: error }, 'a replay waits and tries again')
  }

  /** Ends what is over, and learns what there is. */
  async look(): Promise<void> {
    const { store, config, takes, logger } = this.#options
    const names = config.handlers.map(({ name }) => name)
    const open = await store.openReplays(names)
    if (open.length > 0)
      for (const replay of await store.settleReplays()) logger.info({ replay }, 'the replay is over')
    for (const [handler, handlerTakes] of takes)
      handlerTakes.follow(open.filter((replay) => replay.handler === handler))
    await this.#plan(open)
  }

  /** Others may go on with its ranges at once. */
  async end(): Promise<void> {
    for (const key of [...this.#planners.keys()]) await this.#drop(key)
  }

  async #drop(key: string): Promise<void> {
    const range = this.#planners.get(key)
    if (range === undefined || !this.#planners.delete(key)) return
    range.planner.end()
    this.#options.waits.clear(range.name)
    await range.lease.release()
  }

  async #plan(open: readonly OpenReplay[]): Promise<void> {
    const wanted = new Set<string>()
    for (const replay of open)
      for (const range of replay.ranges) {
        if (!this.#isPlannedHere(replay) || range.next >= range.end) continue
        const name = `replay/${replay.replayId}/${range.topicId}/${range.partition}`
        const key = `${name} ${replay.status}`
        const planner = this.#planners.get(key) ?? this.#rangePlanner(name, replay, range)
        if (planner === null) continue
        wanted.add(key)
        this.#planners.set(key, planner)
      }
    for (const key of [...this.#planners.keys()]) if (!wanted.has(key)) await this.#drop(key)
  }

  /** Who counts needs nothing but the log. Who plans knows what was finished, and so what may be planned ahead. */
  #isPlannedHere({ status, handler }: OpenReplay): boolean {
    return status === 'counting' || (status === 'running' && this.#options.takes.has(handler))
  }

  /** Null where the configuration has its handler or source no more. */
  #rangePlanner(name: string, replay: OpenReplay, range: RangeProgress): RangePlanner | null {
    const { handlers, sources } = this.#options.config
    const handler = handlers.find((each) => each.name === replay.handler)
    const source = sources.find((each) => each.name === replay.source)
    if (handler === undefined || source === undefined) return null
    const at = { topic: replay.topic, topicId: range.topicId, partition: range.partition }
    const lease = this.#options.newLease(name)
    const planner = this.#planner({ replay, handler, source, at, until: range.end, lease })
    return { planner, lease, name, restsUntil: -Infinity, failures: 0 }
  }

  #planner(planning: Planning): PartitionPlanner {
    const { config, store, takes, ...rest } = this.#options
    const { replay, handler, source, at, until, lease } = planning
    const own = takes.get(replay.handler)
    return new PartitionPlanner({
      ...{ ...rest, at, until, lease, eventTtlMs: null, generation: config.generation },
      // A repetition in it is none of the sender's.
      source: { ...source, dedup: { ...source.dedup, onResend: 'drop' } },
      handlers: [compileReplay(handler, replay)],
      served: own === undefined ? new Set() : new Set([replay.name]),
      store: {
        ping: () => store.ping(),
        positions: (topicId, partition) => store.replayPositions(replay.name, topicId, partition),
        commitStep: (request, decide) => store.commitReplayStep(request, decide),
      },
      backlog: boundsOf(replay, own),
      // Whoever takes them is in this process, or looks by himself.
      queue: {
        offer: () => {
          own?.wake()
          return Promise.resolve()
        },
      },
      lags: { note: () => undefined },
      filterErrors: new HourlyNotice(rest.clock),
    })
  }
}

interface Planning {
  readonly replay: OpenReplay
  readonly handler: HandlerConfig
  readonly source: SourceConfig
  readonly at: TopicPartition
  readonly until: bigint
  readonly lease: Lease
}

/** Nothing bounds what is only counted. */
function boundsOf(
  { name, status }: OpenReplay,
  takes: ReplayTakes | undefined,
): ConstructorParameters<typeof PartitionPlanner>[0]['backlog'] {
  const isCounted = status === 'counting'
  return {
    room: NEVER,
    admits: (_, jobs) => isCounted || takes?.admits(name, jobs) === true,
    reserve: (_, jobs) => takes?.reserve(name, jobs),
    settle: (_, jobs) => takes?.reserve(name, -jobs),
    planned: (_, jobs) => takes?.planned(name, jobs),
  }
}
