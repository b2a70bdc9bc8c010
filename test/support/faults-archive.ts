/**
 * Crash points around the archive store's port: a create that fails or stands still before it, or after it landed.
 * The store behind it is the real one; nothing in product code knows of this.
 */
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { ArchiveStore, NewObject } from '../../core/ports/archive-store.ts'

export type FaultMoment = 'before' | 'after'

export interface HeldCreate {
  /** Resolves when a create of such a key has come to the point. */
  readonly reached: Promise<string>
  release(): void
}

export class FaultyArchive implements ArchiveStore {
  readonly driver: ArchiveStore['driver']
  readonly location: string
  readonly #inner: ArchiveStore
  readonly created: string[] = []
  #failing: {
    readonly prefix: string
    readonly moment: FaultMoment
    times: number
    readonly error: HooktrailError
  } | null = null
  #held: {
    readonly prefix: string
    readonly moment: FaultMoment
    readonly reached: PromiseWithResolvers<string>
    readonly released: PromiseWithResolvers<void>
  } | null = null

  constructor(inner: ArchiveStore) {
    this.#inner = inner
    this.driver = inner.driver
    this.location = inner.location
  }

  /** The next `times` creates below `prefix` reject: 'before' leaves nothing behind, 'after' the whole object. */
  fail(
    prefix: string,
    moment: FaultMoment,
    times = 1,
    error = new HooktrailError('ARCHIVE_STORE_UNAVAILABLE'),
  ): void {
    this.#failing = { prefix, moment, times, error }
  }

  /** The next create below `prefix` stands still at the moment until it is released. */
  hold(prefix: string, moment: FaultMoment): HeldCreate {
    const held = {
      prefix,
      moment,
      reached: Promise.withResolvers<string>(),
      released: Promise.withResolvers<void>(),
    }
    this.#held = held
    return {
      reached: held.reached.promise,
      release: () => {
        held.released.resolve()
      },
    }
  }

  async create(object: NewObject): Promise<'created' | 'exists'> {
    await this.#point(object.key, 'before')
    const outcome = await this.#inner.create(object)
    if (outcome === 'created') this.created.push(object.key)
    await this.#point(object.key, 'after')
    return outcome
  }

  read(key: string, bytesMax: number): ReturnType<ArchiveStore['read']> {
    return this.#inner.read(key, bytesMax)
  }
  open(key: string): ReturnType<ArchiveStore['open']> {
    return this.#inner.open(key)
  }
  head(key: string): ReturnType<ArchiveStore['head']> {
    return this.#inner.head(key)
  }
  list(prefix: string, after?: string): ReturnType<ArchiveStore['list']> {
    return this.#inner.list(prefix, after)
  }

  async #point(key: string, moment: FaultMoment): Promise<void> {
    const held = this.#held
    if (held?.moment === moment && key.startsWith(held.prefix)) {
      this.#held = null
      held.reached.resolve(key)
      await held.released.promise
    }
    const failing = this.#failing
    if (failing?.moment === moment && failing.times > 0 && key.startsWith(failing.prefix)) {
      failing.times -= 1
      throw failing.error
    }
  }
}
