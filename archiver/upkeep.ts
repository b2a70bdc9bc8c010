/**
 * What keeps an archive kept that nobody writes to any more: the lock is probed once a day, and what leads to the whole
 * archive (genesis, its files, policies, holds) is locked on, so that it outlasts the youngest data.
 */
import { GENESIS_KEY } from '../core/archive/keys.ts'
import { covers } from '../core/archive/retention.ts'
import type { ArchiverContext } from './archiver-context.ts'
import type { Protection } from './protection.ts'

export type ProtectedContext = ArchiverContext & { readonly protection: Protection }

const LOCK_EVERY_MS = 86_400_000
/** Nothing of these is numerous; the bound is for a listing that never ends. */
const ROOTS_MAX = 100_000
const ROOT_FOLDERS = ['policy/', 'holds/', 'keys/'] as const

export class Upkeep {
  readonly #context: ProtectedContext
  #lockedAt = -Infinity

  constructor(context: ProtectedContext) {
    this.#context = context
    this.#lockedAt = context.clock.monotonic()
  }

  async step(): Promise<void> {
    const { clock, protection } = this.#context
    await protection.probed?.probeIfDue()
    if (clock.monotonic() - this.#lockedAt < LOCK_EVERY_MS) return
    await this.lockRoots()
    this.#lockedAt = clock.monotonic()
  }

  /** A lock is only ever made longer; one that is long enough costs a question. */
  async lockRoots(): Promise<void> {
    const { protection } = this.#context
    const { probed } = protection
    if (probed === null) return
    for (const key of await this.#roots()) {
      const wanted = protection.lockOf(key)
      if (wanted === null) return
      const found = await probed.store.protectionOf(key)
      if (found === null || (found.lock !== 'unknown' && covers(found.lock, aDayLess(wanted)))) continue
      await probed.ensure(key, { lock: wanted, isHeld: false })
    }
  }

  async #roots(): Promise<readonly string[]> {
    const { protection, archive } = this.#context
    const keys = [GENESIS_KEY, ...protection.explaining]
    for (const folder of ROOT_FOLDERS)
      for await (const { key } of archive.list(folder)) if (keys.length < ROOTS_MAX) keys.push(key)
    return keys
  }
}

function aDayLess<T extends { readonly untilMs: number }>(lock: T): T {
  return { ...lock, untilMs: lock.untilMs - LOCK_EVERY_MS }
}
