/**
 * Writes where handlers stand as offsets of Kafka groups, so that Kafka's own tools show each handler's lag. Nothing
 * reads them back and nothing waits for them: a failure is told after a while and tried again. One dispatcher does it,
 * under a lease, by one request for each group that moved.
 */
import type { Clock } from '../core/clock.ts'
import { isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { Logger } from '../core/log.ts'
import type { GroupOffsetLog, GroupPosition, Topic } from '../core/ports/event-log.ts'
import type { PlanStore } from '../core/ports/plan-store.ts'
import { LEASE_RETRY_MS, type Lease } from './lease.ts'
import { reasonOf } from './loop.ts'

const COMMIT_MS = 5_000
/** Of one step; the others come next. */
const GROUPS_MAX = 50
/** Kafka forgets the offsets of a group that says nothing for `offsets.retention.minutes`, by default a week. */
const SAID_AGAIN_MS = 3_600_000
/** A cluster that has never had a group needs a moment for its first. */
const FAILURES_TOLD = 3

export interface GroupOffsetsOptions {
  readonly log: GroupOffsetLog
  readonly store: Pick<PlanStore, 'allPositions'>
  readonly lease: Pick<Lease, 'hold'>
  /** Begins the names of the groups: `<prefix>.<handler>`. */
  readonly topicPrefix: string
  readonly topics: readonly Topic[]
  readonly handlers: readonly string[]
  readonly clock: Clock
  readonly logger: Logger
}

interface Group {
  readonly name: string
  /** By topic and partition, as this process wrote them last. */
  readonly committed: Map<string, bigint>
  /** Monotonic time from which on they count as written. */
  saidAt: number
  failures: number
}

export class GroupOffsets {
  readonly #options: GroupOffsetsOptions
  readonly #topicNames: ReadonlyMap<string, string>
  /** In the order of their turns, by handler. */
  readonly #groups: Map<string, Group>

  constructor(options: GroupOffsetsOptions) {
    const { topics, handlers, topicPrefix } = options
    this.#options = options
    this.#topicNames = new Map(topics.map(({ id, name }) => [id, name]))
    const empty = (handler: string): Group => ({
      ...{ name: `${topicPrefix}.${handler}`, committed: new Map(), saidAt: -Infinity, failures: 0 },
    })
    this.#groups = new Map(handlers.map((handler) => [handler, empty(handler)]))
  }

  /** A step in the loop: resolves with the milliseconds until the next. */
  async step(signal: AbortSignal): Promise<number> {
    if (!(await this.#options.lease.hold())) return LEASE_RETRY_MS
    const positions = await this.#positions()
    let asked = 0
    for (const [handler, group] of [...this.#groups]) {
      const moved = this.#movedOf(group, positions.get(handler) ?? [])
      if (moved.length === 0) continue
      if (signal.aborted || asked++ === GROUPS_MAX) break
      // Behind all others, whatever comes of it.
      this.#groups.delete(handler)
      this.#groups.set(handler, group)
      if ((await this.#commit(group, moved)) === 'unavailable') break
    }
    return COMMIT_MS
  }

  /** Positions in an earlier topic of the same name are nobody's lag. */
  async #positions(): Promise<ReadonlyMap<string, readonly GroupPosition[]>> {
    const byHandler = new Map<string, GroupPosition[]>()
    for (const { handler, topicId, partition, next } of await this.#options.store.allPositions()) {
      const topic = this.#topicNames.get(topicId)
      if (topic === undefined || !this.#groups.has(handler)) continue
      const positions = byHandler.get(handler) ?? []
      byHandler.set(handler, positions)
      positions.push({ topic, partition, offset: next })
    }
    return byHandler
  }

  #movedOf(group: Group, positions: readonly GroupPosition[]): readonly GroupPosition[] {
    const now = this.#options.clock.monotonic()
    // So that whatever was written is written again: those who did not move are forgotten each by itself.
    if (now - group.saidAt >= SAID_AGAIN_MS) {
      group.saidAt = now
      group.committed.clear()
    }
    return positions.filter((position) => group.committed.get(placeOf(position)) !== position.offset)
  }

  async #commit(
    group: Group,
    positions: readonly GroupPosition[],
  ): Promise<'done' | 'refused' | 'unavailable'> {
    const { log, logger } = this.#options
    try {
      await log.commitGroupOffsets(group.name, positions)
    } catch (error) {
      group.failures += 1
      const fields = { group: group.name, reason: reasonOf(error), err: error }
      if (group.failures === FAILURES_TOLD)
        logger.warn(fields, 'Kafka’s own tools do not show the lag of a handler: its group takes no offsets')
      else logger.debug(fields, 'offsets of a group were not written; they are tried again')
      return isHooktrailError(error, 'LOG_UNAVAILABLE') ? 'unavailable' : 'refused'
    }
    if (group.failures >= FAILURES_TOLD) logger.info({ group: group.name }, 'the group takes offsets again')
    group.failures = 0
    for (const position of positions) group.committed.set(placeOf(position), position.offset)
    return 'done'
  }
}

function placeOf({ topic, partition }: GroupPosition): string {
  return `${topic}/${partition}`
}
