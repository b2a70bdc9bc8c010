/**
 * Stands before the job store of a dispatcher: nothing reaches a store that may have travelled back. After the start, and
 * after any connection was lost or led elsewhere, the log is heard first (store-witness.ts); where it tells of what the
 * store does not hold, the store stops everywhere and is made whole (recover-store.ts), by whoever holds the lease. What
 * fails on the way is thrown at all who wait, and tried again with them. Asked twice: before a call, and with the
 * connection in hand (`admit`), since that may be the first that leads to another server.
 */
import type { SignedEnd } from '../core/archive/range/signed-ends.ts'
import type { Clock } from '../core/clock.ts'
import { HooktrailError, isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { Logger } from '../core/log.ts'
import type { TopicId } from '../core/ports/event-log.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import type { Metrics } from '../core/ports/metrics.ts'
import { archivedSpans, numbersArchived } from '../core/recovery/archived-facts.ts'
import { travelledTopics, type LogWitness, type TravelledTopic } from '../core/recovery/travelled-log.ts'
import { deliveriesTopic } from '../core/topics.ts'
import { Lease } from './lease.ts'
import { recoverStore, type RecoveryOptions } from './recover-store.ts'
import { hearWitness, spansBehind } from './store-witness.ts'

/** How soon somebody looks again who waits for another's recovery. */
const RECOVERY_POLL_MS = 500
/** As long as a stop waits for a database (cli/composition/silent-database.ts). */
const STOP_MS_MAX = 5_000

export interface GuardOptions extends Omit<RecoveryOptions, 'store'> {
  /** For its lease alone. */
  readonly store: JobStore
  /**
   * The store as it is on whichever server answers first: each look, and each recovery, has one of its own, which rejects
   * where another server answers later. What was found out about one is never written to another.
   */
  readonly openStore: () => JobStore
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
  /** Who holds the lease: this process. */
  readonly owner: string
  /** How many connections to the store were lost so far. */
  readonly lostConnections: () => number
  /** Where the log travels with the store the archive is the second witness; null: it does not. */
  readonly archive: ArchiveWitness | null
  /** From then on nobody waits much longer for a store that is in doubt. */
  readonly stopping: AbortSignal
}

export interface ArchiveWitness {
  /** Null where the archive does not answer, or there is none: then the log's word stands alone. */
  ends(): Promise<readonly SignedEnd[] | null>
  /** From the archive alone. */
  readonly readArchived: LogWitness['readArchived']
  /** Plans what the archive holds of these topics. */
  planRest(ends: readonly SignedEnd[], ids: ReadonlySet<TopicId>, signal: AbortSignal): Promise<void>
}

/** Nothing was sent: whoever meets it waits for the guard again. */
class NotPassed extends Error {}

/** One look at one server. */
interface Look extends GuardOptions {
  readonly storeId: string
}

export class StoreGuard implements Disposable {
  readonly #options: GuardOptions
  readonly #closing = new AbortController()
  readonly #lease: Lease
  /** Raised by whatever makes it doubtful whether the store is still the same. */
  #doubts = 1
  /** Of doubts and losses, as they were when the store was last found whole. */
  #settledDoubts = 0
  #settledLosses = 0
  #settling: Promise<void> | null = null
  #waitsFor: string | null = null
  /** Connections were lost, or this is the start: the log may have travelled as well. */
  #isLogDoubted = true

  constructor(options: GuardOptions) {
    this.#options = options
    this.#lease = new Lease({ ...options, name: 'recovery' })
    options.stopping.addEventListener('abort', () => {
      void options.clock.sleep(STOP_MS_MAX, this.#closing.signal).then(() => {
        this.#closing.abort()
      })
    })
  }

  /** The next who asks hears the log first. */
  doubt(): void {
    this.#doubts += 1
  }

  /** The same, and of a log that travels with the store the archive is heard before it. */
  doubtAll(): void {
    this.#isLogDoubted = true
    this.doubt()
  }

  /** Resolves when the store is known to be whole. */
  async passed(): Promise<void> {
    while (!this.#isSettled()) {
      this.#settling ??= this.#settle().finally(() => (this.#settling = null))
      await this.#settling
    }
  }

  /** For the store's own connections, in the moment before something is sent. @throws what guardStore waits behind */
  admit(): void {
    if (!this.#isSettled()) throw new NotPassed('the store is not known to be whole')
  }

  /** For people; null while nobody waits. */
  waitingFor(): string | null {
    return this.#waitsFor
  }

  /** What waits is given up. */
  [Symbol.dispose](): void {
    this.#closing.abort()
  }

  #isSettled(): boolean {
    return this.#settledDoubts === this.#doubts && this.#settledLosses === this.#options.lostConnections()
  }

  async #settle(): Promise<void> {
    const [doubts, losses] = [this.#doubts, this.#options.lostConnections()]
    const { signal } = this.#closing
    if (losses !== this.#settledLosses) this.#isLogDoubted = true
    for (;;) {
      signal.throwIfAborted()
      const store = this.#options.openStore()
      const { storeId, state } = await store.storeState()
      const look = { ...this.#options, store, storeId }
      switch (state) {
        case 'moved':
          throw new HooktrailError('STORE_MOVED', { to: 'another size' })
        case 'recovering':
          this.#isLogDoubted = true
          await this.#recoverInTurn(look)
          continue
        case 'ok':
          if (!(await this.#isLogHere(look)) || !(await this.#isWhole(look))) continue
          this.#waitsFor = null
          this.#settledDoubts = doubts
          this.#settledLosses = losses
          return
        default:
          state satisfies never
      }
    }
  }

  /** Topics of a log that travelled get other ids by the archiver first, which signs what is lost. */
  async #recoverInTurn(look: Look): Promise<void> {
    const { clock } = look
    if (await this.#hasLogTravelled())
      this.#waitsFor = 'the archiver, since the log travelled back with its database'
    else {
      this.#waitsFor = 'the job store, which travelled back and is made whole from log and archive'
      if (await this.#lease.hold()) {
        await this.#recover(look)
        return
      }
    }
    await clock.sleep(RECOVERY_POLL_MS, this.#closing.signal)
  }

  async #isWhole(look: Look): Promise<boolean> {
    const { store, storeId, logger, metrics } = look
    const isEmpty = (await store.allPositions()).length === 0
    if (isEmpty) await this.#requireNoneArchived()
    const { absent, read, others, used } = await hearWitness(look, storeId, this.#closing.signal)
    if (isEmpty && others > 0) throw new HooktrailError('STORE_LOST', { facts: others })
    if (absent === 0) return true
    const details = { absent, read }
    if (await store.beginRecovery(used, details)) {
      metrics.count('store_travelled_back_total')
      logger.error(
        details,
        'the job store has travelled back: the log tells of what it does not hold. Deliveries wait until it is whole',
      )
    }
    return false
  }

  /**
   * Log and store are gone together where the archive has deliveries of a topic that this log does not have. Deliveries
   * alone: what was planned leaves positions behind, so that a store which was rebuilt is not asked again.
   * @throws STORE_LOST
   */
  async #requireNoneArchived(): Promise<void> {
    const { archive, log, topicPrefix } = this.#options
    const ends = (await archive?.ends()) ?? []
    const told = ends.filter(
      ({ topic, archivedTo }) => topic === deliveriesTopic(topicPrefix) && archivedTo > 0n,
    )
    const present = new Set((await log.topics()).map(({ id }) => id))
    const facts = told
      .filter(({ topicId }) => !present.has(topicId))
      .reduce((sum, end) => sum + end.archivedTo, 0n)
    if (facts > 0n) throw new HooktrailError('STORE_LOST', { facts: String(facts) })
  }

  /** False when the store was stopped because the log is an older copy. */
  async #isLogHere({ archive, store, metrics, logger, topicPrefix }: Look): Promise<boolean> {
    if (!this.#isLogDoubted || archive === null) return true
    const ends = await archive.ends()
    const topics = ends === null ? [] : await this.#travelled(archive, ends)
    if (ends === null || topics.length === 0) {
      this.#isLogDoubted = false
      return true
    }
    const names = topics.map(({ topic }) => topic.name)
    const archived = { read: archive.readArchived }
    const used = await numbersArchived({ store, ends, topicPrefix }, archived, this.#closing.signal)
    if (await store.beginRecovery(used, { topics: names })) {
      metrics.count('store_travelled_back_total')
      logger.error(
        { topics: names },
        'database and log have travelled back: the archive holds more of them. Deliveries wait for the archiver',
      )
    }
    return false
  }

  async #hasLogTravelled(): Promise<boolean> {
    const { archive } = this.#options
    if (archive === null) return false
    const ends = await archive.ends()
    // It was the archive that told: without it nobody knows what to bring back.
    return ends === null || (await this.#travelled(archive, ends)).length > 0
  }

  #travelled(
    { readArchived }: ArchiveWitness,
    ends: readonly SignedEnd[],
  ): Promise<readonly TravelledTopic[]> {
    return travelledTopics({ log: this.#options.log, readArchived }, ends)
  }

  async #recover(look: Look): Promise<void> {
    const { logger, archive, store, storeId, topicPrefix } = look
    const ends = archive === null ? [] : await archive.ends()
    if (ends === null) return
    const ids = new Set(await store.travelledTopics())
    const older = await archivedSpans({ store, ends, topicPrefix }, ids)
    const spans = [...older, ...(await spansBehind(look))]
    const planRest = async (signal: AbortSignal): Promise<void> => archive?.planRest(ends, ids, signal)
    const counts = await recoverStore(look, { storeId, spans, gone: ids, planRest }, this.#closing.signal)
    await this.#lease.release()
    if (counts !== null) logger.warn({ ...counts }, 'the job store is whole again: deliveries go on')
  }
}

/** The same store behind the guard, on connections that are gated by it. */
export function guardStore(
  store: JobStore,
  guard: Pick<StoreGuard, 'passed' | 'doubt' | 'doubtAll'>,
): JobStore {
  return new Proxy(store, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function') return member
      return async (...values: readonly unknown[]): Promise<unknown> => {
        for (;;) {
          await guard.passed()
          try {
            const result: unknown = await Reflect.apply(member, target, values)
            // A step may be lost because the store recovers.
            if (name === 'commitStep' && isLost(result)) guard.doubt()
            return result
          } catch (error) {
            if (error instanceof NotPassed) continue
            if (isHooktrailError(error, 'STORE_UNAVAILABLE')) guard.doubtAll()
            throw error
          }
        }
      }
    },
  })
}

function isLost(result: unknown): boolean {
  return typeof result === 'object' && result !== null && 'kind' in result && result.kind === 'lost'
}
