/**
 * What keeps the archive from being deleted: the policy that is signed into it, the lock of each object by that policy,
 * and what heartbeats say about both. An archiver takes retention and holds from the chains in the store, as it takes the
 * format of data; its own settings speak through the policy note that it writes at its start.
 */
import { canonicalJson } from '../core/archive/canonical-json.ts'
import { HoldBook, isInRange, parseHold, type Hold } from '../core/archive/holds.ts'
import type { Genesis, Manifest } from '../core/archive/manifest.ts'
import {
  parsePolicy,
  policyRetentionOf,
  retentionTermsOf,
  type Policy,
  type PolicyTerms,
} from '../core/archive/policy.ts'
import { covers, lockOf } from '../core/archive/retention.ts'
import type { Worm } from '../core/archive/worm.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import type { NewObject, ObjectHead, ObjectLock } from '../core/ports/archive-store.ts'
import type { ArchiveKeys } from './archive-keys.ts'
import { isoTime, type ArchiverContext } from './archiver-context.ts'
import { NumberedChain } from './numbered-chain.ts'
import type { ProbedLock } from './probed-lock.ts'
import type { Covered, Protecting } from './protecting.ts'

/** A policy is written by one of many archivers that start at once; the others find that it says what they would. */
const POLICY_TRIES_MAX = 10
const CLOCK_SKEW_MS = 300_000

export interface ProtectionOptions {
  readonly genesis: Genesis
  readonly genesisSha256: string
  readonly keys: ArchiveKeys
  /** Null where nothing is locked. */
  readonly probed: ProbedLock | null
}

export class Protection implements Protecting {
  readonly policies: NumberedChain<Policy>
  readonly holds: NumberedChain<Hold>
  readonly book = new HoldBook()
  readonly probed: ProbedLock | null
  readonly #context: ArchiverContext
  readonly #genesis: Genesis

  constructor(context: ArchiverContext, { genesis, genesisSha256, probed }: ProtectionOptions) {
    const own = { ...context, protection: this }
    this.#context = own
    this.#genesis = genesis
    this.probed = probed
    this.policies = new NumberedChain(own, {
      ...{ notes: 'policy', parse: parsePolicy, genesisSha256 },
      onNote: () => undefined,
    })
    this.holds = new NumberedChain(own, {
      ...{ notes: 'holds', parse: parseHold, genesisSha256 },
      onNote: (entry) => {
        this.book.apply(entry)
      },
    })
  }

  /** Keys of the files that genesis names. */
  get explaining(): readonly string[] {
    return Object.keys(this.#genesis.files)
  }

  /** Signs what the settings ask for, unless that is in force. */
  async agree(): Promise<void> {
    await this.policies.catchUp()
    await this.holds.catchUp()
    const wanted = this.#wanted()
    for (let tries = 0; canonicalJson(this.#inForce()) !== canonicalJson(wanted); tries++) {
      if (tries === POLICY_TRIES_MAX) throw new HooktrailError('ARCHIVE_STORE_UNAVAILABLE', { key: 'policy' })
      await this.policies.append((place) => ({ ...place, kind: 'policy', ...wanted }))
    }
  }

  onCreate(key: string, isHeld: boolean): Pick<NewObject, 'lock' | 'isHeld'> {
    const lock = this.lockOf(key)
    return lock === null ? {} : { lock, isHeld }
  }

  /** Of an object of this key that is created now. */
  lockOf(key: string): ObjectLock | null {
    return this.#lockAt(key, this.#context.clock.now())
  }

  #lockAt(key: string, atMs: number): ObjectLock | null {
    if (this.probed === null) return null
    // The first policy is locked by what it says.
    const terms = retentionTermsOf(this.#inForce()) ?? this.#context.worm?.terms ?? null
    return terms && lockOf(terms, key, atMs)
  }

  /**
   * What retention asks of an object since the store has it, by the store's clock, which is the one that ends the lock: ours
   * may be days behind, and what was asked for at the create is too short then. A little they always differ.
   */
  #lockSince({ key, lastModifiedMs }: ObjectHead): ObjectLock | null {
    return this.#lockAt(key, lastModifiedMs - CLOCK_SKEW_MS)
  }

  get isLocking(): boolean {
    return this.probed !== null
  }

  async heldNow(covered: Covered): Promise<boolean> {
    if (this.probed === null) return false
    await this.holds.catchUp()
    return this.isHeld(covered)
  }

  isHeld(covered: Covered): boolean {
    return this.book.active.some(({ range }) => isInRange(range, covered))
  }

  async prove(found: ObjectHead, isHeld: boolean): Promise<Manifest['retention']> {
    const wanted = this.#lockSince(found)
    if (wanted === null || this.probed === null) return null
    const { lock, isWhole } =
      covers(found.lock, wanted) && !isHeld
        ? { lock: found.lock, isWhole: true }
        : await this.probed.ensure(found.key, { lock: wanted, isHeld })
    const stated = lock ?? wanted
    return { mode: stated.mode, until: isoTime(stated.untilMs), verified: isWhole }
  }

  promise(topic: string): Manifest['retention'] {
    const wanted = this.lockOf(`data/topic=${topic}/`)
    return wanted && { mode: wanted.mode, until: isoTime(wanted.untilMs), verified: true }
  }

  async worm(): Promise<'off' | Worm> {
    await this.policies.catchUp()
    await this.holds.catchUp()
    const [policy, holds] = [this.policies.newest, this.holds.newest]
    if (this.probed === null && policy === null && holds === null) return 'off'
    const { result, checkedAt, checks } = this.probed?.result ?? NOT_LOCKED
    return { result, checked_at: checkedAt, checks, policy, holds }
  }

  /** Without any note genesis' cadence holds, and nothing is locked. */
  #inForce(): PolicyTerms {
    const { worm, cadence, retention } = this.policies.newestDocument ?? {
      ...{ worm: 'off' as const, cadence: this.#genesis.cadence, retention: null },
    }
    return { worm, cadence, retention }
  }

  #wanted(): PolicyTerms {
    const { heartbeatMs, idleHeartbeatMs } = this.#context.settings
    const terms = this.#context.worm?.terms ?? null
    return {
      worm: this.#context.worm?.mode ?? 'off',
      cadence: { active_seconds: seconds(heartbeatMs), idle_seconds: seconds(idleHeartbeatMs) },
      retention: terms && policyRetentionOf(terms),
    }
  }
}

const NOT_LOCKED = { result: 'off' as const, checkedAt: null, checks: {} }

function seconds(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1000))
}
