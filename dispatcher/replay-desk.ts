/**
 * Plans replays, whoever serves their handlers: as a handler that is behind is caught up, by the same planner, within its
 * own bounds and up to the end of its ranges. The store says which there are; a planner lives as long as its range has
 * something left. A crash leaves each at a committed position, and the next dispatcher goes on there.
 */
import { AssertionError } from 'node:assert/strict'
import type { Clock } from '../core/clock.ts'
import type { Config, SourceConfig } from '../core/config/config.ts'
import { NEVER } from '../core/deadline.ts'
import type { Logger } from '../core/log.ts'
import type { PlanHandler } from '../core/plan/plan-handler.ts'
import type { EventLog, ForeignTopicLog, TopicPartition } from '../core/ports/event-log.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import type { Metrics } from '../core/ports/metrics.ts'
import type { OpenReplay, RangeProgress } from '../core/ports/replay-store.ts'
import { chosenAlone, compileReplay } from '../core/replay/replay-handler.ts'
import { LEASE_RETRY_MS, type Lease } from './lease.ts'
import { HourlyNotice } from './hourly-notice.ts'
import { backoffMs, reasonOf } from './loop.ts'
import { PartitionPlanner, STEP_RECORDS_MAX, type PlannerOptions } from './partition-planner.ts'
import type { PayloadCache } from './payload-cache.ts'
import type { ReplayTakes } from './replay-takes.ts'
import { TopicPublisher, TopicRate } from './topic-publisher.ts'
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
  readonly log: Pick<EventLog, 'read' | 'append'>
  /** Absent where the log is not Kafka. */
  readonly foreignLog?: ForeignTopicLog
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
  /** By replay: of all its ranges together. */
  readonly #rates = new Map<string, TopicRate>()
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
    const ids = new Set(open.map(({ replayId }) => replayId))
    for (const id of [...this.#rates.keys()]) if (!ids.has(id)) this.#rates.delete(id)
  }

  /** Who counts needs nothing but the log. Who plans knows what was finished, and so what may be planned ahead. */
  #isPlannedHere({ status, handler, toTopic }: OpenReplay): boolean {
    const { takes, foreignLog } = this.#options
    if (status !== 'running') return status === 'counting'
    return toTopic === null ? takes.has(handler) : foreignLog !== undefined
  }

  /** Null where the configuration has its handler or source no more. */
  #rangePlanner(name: string, replay: OpenReplay, range: RangeProgress): RangePlanner | null {
    const { handlers, sources } = this.#options.config
    const configured = handlers.find((each) => each.name === replay.handler)
    const source = sources.find((each) => each.name === replay.source)
    if ((configured === undefined && replay.toTopic === null) || source === undefined) return null
    const handler =
      configured === undefined
        ? { ...chosenAlone(replay), name: replay.name }
        : compileReplay(configured, replay)
    const at = { topic: replay.topic, topicId: range.topicId, partition: range.partition }
    // What goes to a topic goes from one process, which keeps its rate.
    const lease = this.#options.newLease(replay.toTopic === null ? name : `replay/${replay.replayId}`)
    const planner = this.#planner({ replay, handler, source, at, until: range.end, lease })
    return { planner, lease, name, restsUntil: -Infinity, failures: 0 }
  }

  /** Null: it is counted, or delivered to a handler. */
  #publisher({ replay, at }: Planning): TopicPublisher | null {
    const { replayId, toTopic: to, perSecond, status } = replay
    const { foreignLog, log, clock } = this.#options
    if (to === null || status !== 'running' || foreignLog === undefined) return null
    const rate = this.#rates.get(replayId) ?? new TopicRate(perSecond, clock)
    this.#rates.set(replayId, rate)
    return new TopicPublisher({ replayId, to, from: at, rate, log, foreignLog })
  }

  #planner(planning: Planning): PartitionPlanner {
    const { config, store, takes, ...rest } = this.#options
    const { replay, handler, source, at, until, lease } = planning
    const own = takes.get(replay.handler)
    const publisher = this.#publisher(planning)
    return new PartitionPlanner({
      ...{ ...rest, at, until, lease, eventTtlMs: null, generation: config.generation },
      log: publisher ?? rest.log,
      ...stepsOf(replay),
      isDryRun: replay.status === 'counting',
      // A repetition in it is none of the sender's.
      source: { ...source, dedup: { ...source.dedup, onResend: 'drop' } },
      handlers: [handler],
      served: own === undefined ? new Set() : new Set([replay.name]),
      store: {
        ping: () => store.ping(),
        positions: (topicId, partition) => store.replayPositions(replay.name, topicId, partition),
        commitStep: (request, decide) =>
          publisher === null
            ? store.commitReplayStep(request, decide)
            : store.commitReplayStep(request, decide, (decision) => publisher.publish(decision)),
      },
      backlog: publisher === null ? boundsOf(replay, own) : publishing(publisher),
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

/** A slow rate is not saved up for a large step. */
function stepsOf({ toTopic, perSecond }: OpenReplay): { readonly stepRecordsMax?: number } {
  if (toTopic === null || perSecond === null) return {}
  return { stepRecordsMax: Math.min(STEP_RECORDS_MAX, Math.max(1, Math.ceil(perSecond))) }
}

interface Planning {
  readonly replay: OpenReplay
  readonly handler: PlanHandler
  readonly source: SourceConfig
  readonly at: TopicPartition
  readonly until: bigint
  readonly lease: Lease
}

type Bounds = PlannerOptions['backlog']

/** Its rate alone: nothing of it stays open. */
function publishing(publisher: TopicPublisher): Bounds {
  const none = (): void => undefined
  return { room: NEVER, admits: () => publisher.isAllowed, reserve: none, settle: none, planned: none }
}

/** Nothing bounds what is only counted. */
function boundsOf({ name, status }: OpenReplay, takes: ReplayTakes | undefined): Bounds {
  const isCounted = status === 'counting'
  return {
    room: NEVER,
    admits: (_, jobs) => isCounted || takes?.admits(name, jobs) === true,
    reserve: (_, jobs) => takes?.reserve(name, jobs),
    settle: (_, jobs) => takes?.reserve(name, -jobs),
    planned: (_, jobs) => takes?.planned(name, jobs),
  }
}
