/**
 * Legal holds, from a request to every object that it names. A request is signed into the chain; from then on new segments
 * are held from their first byte. What lies there already is walked and held (or let go), then an entry says so: a crash
 * before it leaves objects held, and the walk is repeated. The last walk begins when no writer can be at work any more
 * that had not seen the entry.
 */
import { isInRange, type Hold, type HoldRange } from '../core/archive/holds.ts'
import { listManifests, type ListedManifest } from '../core/archive/list-manifests.ts'
import { messageOf } from '../core/error/message-of.ts'
import { isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { OpenHoldRequest } from '../core/ports/hold-store.ts'
import type { LockingArchive } from '../core/ports/archive-store.ts'
import type { ProtectedContext } from './upkeep.ts'

const REQUESTS_MAX = 100
/** Manifests looked at in one step. */
const WALK_MAX = 500
/** Longer than any request to the store between a look at the holds and the write that follows it. */
const SETTLED_MS = 600_000
const LEASE = 'archive-holds'
const LEASE_MS = 60_000

interface Walk {
  readonly n: string
  readonly manifests: AsyncIterator<ListedManifest>
  /** It began late enough to be the last one. */
  readonly isLast: boolean
}

export class HoldKeeper {
  readonly #context: ProtectedContext
  #walk: Walk | null = null
  /** Entries that were walked once, before they had settled. */
  readonly #walkedEarly = new Set<string>()

  constructor(context: ProtectedContext) {
    this.#context = context
  }

  /** Bounded. @returns true when there is more to do at once */
  async step(): Promise<boolean> {
    const { store, protection } = this.#context
    if (protection.probed === null) return false
    if (!(await this.#isMine())) return false
    await protection.holds.catchUp()
    const requests = (await store?.openHoldRequests(REQUESTS_MAX)) ?? []
    for (const request of requests) await this.#sign(request)
    return (await this.#applyNext(protection.probed.store)) || requests.length === REQUESTS_MAX
  }

  /** One archiver walks; two would do each other's work. While the job store is away nobody does. */
  async #isMine(): Promise<boolean> {
    const { store, instance, logger } = this.#context
    if (store === null) return true
    return store.acquireLease(LEASE, instance, LEASE_MS).catch((error: unknown) => {
      logger.debug({ error: messageOf(error) }, 'legal holds wait for the job store')
      return false
    })
  }

  /** An entry that is there already was signed before a crash could note it. */
  async #sign(request: OpenHoldRequest): Promise<void> {
    const { holds, book } = this.#context.protection
    const { holdId, action, range, eventId, reason } = request
    for (let n = book.numberOf(action, holdId); ; n = book.numberOf(action, holdId)) {
      if (n !== null) {
        await this.#context.store?.markHoldSigned(request.requestNo, n)
        return
      }
      await holds.append((place) => ({
        ...place,
        ...{ kind: 'hold', action, hold_id: holdId, range, event_id: eventId, reason, applies: null },
      }))
    }
  }

  async #applyNext(store: LockingArchive): Promise<boolean> {
    const { protection } = this.#context
    const entry = protection.book.open.find(
      ({ n, created_at: at }) => this.#isSettled(at) || !this.#walkedEarly.has(n),
    )
    if (entry === undefined) return false
    const range = protection.book.rangeOf(entry.hold_id)
    if (range === null || (await this.#walkOn(entry, range, store))) await this.#finish(entry)
    return true
  }

  #isSettled(createdAt: string): boolean {
    return this.#context.clock.now() - Date.parse(createdAt) > SETTLED_MS
  }

  /** @returns true when the walk is over */
  async #walkOn(entry: Hold, range: HoldRange, store: LockingArchive): Promise<boolean> {
    const isNew = this.#walk?.n !== entry.n
    this.#walk = isNew ? this.#begin(entry, range) : this.#walk
    for (let looked = 0; looked < WALK_MAX; looked++) {
      const next = await this.#next()
      if (next === null) return true
      if (isInRange(range, next.manifest)) await this.#follow(next, store)
    }
    return false
  }

  #begin({ n, created_at: at }: Hold, { topic }: HoldRange): Walk {
    const manifests = listManifests(this.#context.archive, topic)
    return { n, manifests: manifests[Symbol.asyncIterator](), isLast: this.#isSettled(at) }
  }

  async #next(): Promise<ListedManifest | null> {
    try {
      const next = await this.#walk?.manifests.next()
      return next === undefined || next.done === true ? null : next.value
    } catch (error) {
      const { n, isLast } = this.#walk ?? {}
      this.#walk = null
      // Nothing of the topic is archived yet: then nothing has to follow.
      if (!isHooktrailError(error, 'ARCHIVE_TOPIC_UNKNOWN') || n === undefined || isLast === undefined)
        throw error
      this.#walk = { n, isLast, manifests: NOTHING[Symbol.asyncIterator]() }
      return null
    }
  }

  /** Held as long as a hold names it, this one or another. */
  async #follow({ key, manifest }: ListedManifest, store: LockingArchive): Promise<void> {
    const isHeld = this.#context.protection.isHeld(manifest)
    const keys = manifest.data === null ? [key] : [manifest.data.key, key]
    for (const each of keys) {
      const found = await store.protectionOf(each)
      if (found !== null && found.isHeld !== isHeld) await store.setHold(each, isHeld)
    }
  }

  async #finish({ n, hold_id: holdId }: Hold): Promise<void> {
    const isLast = this.#walk?.isLast === true
    this.#walk = null
    this.#walkedEarly.add(n)
    if (!isLast) return
    this.#walkedEarly.delete(n)
    await this.#context.protection.holds.append((place) => ({
      ...place,
      ...{
        kind: 'hold',
        action: 'applied',
        hold_id: holdId,
        range: null,
        event_id: null,
        reason: null,
        applies: n,
      },
    }))
  }
}

const NOTHING: AsyncIterable<ListedManifest> = {
  [Symbol.asyncIterator]: () => ({ next: () => Promise.resolve({ done: true, value: undefined }) }),
}
