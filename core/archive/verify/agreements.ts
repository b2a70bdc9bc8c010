/**
 * What an archive says of itself about what is kept: its policies and legal holds. Heartbeats name the newest of each, so
 * that no note which was in force when one was signed can be missing, exchanged or cut off with those behind it.
 */
import type { ObjectLock } from '../../ports/archive-store.ts'
import { HoldBook, isInRange, type Hold } from '../holds.ts'
import { numberedKey, type NumberedNotes } from '../keys.ts'
import type { Heartbeat, Manifest } from '../manifest.ts'
import { retentionTermsOf, type Policy } from '../policy.ts'
import { lockOf } from '../retention.ts'
import type { NumberedNote } from '../worm.ts'
import type { NoteVerifier } from '../signed-note.ts'
import type { Findings } from './finding.ts'
import type { KeyCheck } from './key-check.ts'

export interface AgreedNote<T> {
  readonly document: T
  /** Of the note's bytes, hex. */
  readonly sha256: string
  readonly signer: NoteVerifier | null
}

/** By number; null for a note that is missing or cannot be believed. */
export type NoteChain<T> = readonly (AgreedNote<T> | null)[]

export class Agreements {
  readonly book = new HoldBook()
  readonly #policies: NoteChain<Policy>
  readonly #holds: NoteChain<Hold>
  /** How many of each heartbeats have named so far. */
  readonly #named = { policy: 0, holds: 0, keys: 0 }

  constructor(policies: NoteChain<Policy>, holds: NoteChain<Hold>) {
    this.#policies = policies
    this.#holds = holds
    for (const note of holds) if (note !== null) this.book.apply(note.document)
  }

  /** The policy that a heartbeat names; null where it names none, or none that can be believed. */
  policyOf({ worm }: Heartbeat): Policy | null {
    if (worm === 'off' || worm.policy === null) return null
    return this.#policies[Number(worm.policy.n)]?.document ?? null
  }

  /** Lock of an object that was created with the heartbeat, by the policy that it names. */
  lockAt(heartbeat: Heartbeat, key: string): ObjectLock | null {
    const policy = this.policyOf(heartbeat)
    const terms = policy && retentionTermsOf(policy)
    return terms && lockOf(terms, key, Date.parse(heartbeat.created_at))
  }

  isHeld(manifest: Manifest): boolean {
    return this.book.active.some(({ range }) => isInRange(range, manifest))
  }

  /** Where a hold says of itself that everything archived by then is held. */
  mustBeHeld(manifest: Manifest): boolean {
    return this.book.active.some(({ range, isApplied }) => isApplied && isInRange(range, manifest))
  }

  /** What a heartbeat names must be there. */
  witness({ findings, keyCheck }: Witnessing, key: string, { worm }: Heartbeat): void {
    if (worm === 'off') return
    const named: readonly [NumberedNotes, NumberedNote | null, NoteChain<unknown>][] = [
      ['policy', worm.policy, this.#policies],
      ['holds', worm.holds, this.#holds],
    ]
    for (const [notes, note, chain] of named) {
      if (note === null) continue
      this.#judgeKeys(notes, chain.slice(0, Number(note.n) + 1), keyCheck)
      const found = chain[Number(note.n)]
      const name = numberedKey(notes, BigInt(note.n))
      if (found === undefined) findings.altered('note-missing', name, `it is missing; ${key} names it`)
      else if (found !== null && found.sha256 !== note.sha256)
        findings.altered('note-chain', name, `it is not the one that ${key} names`)
    }
  }

  /** After the last heartbeat: what none names. */
  end(keyCheck: KeyCheck): void {
    this.#judgeKeys('policy', this.#policies, keyCheck)
    this.#judgeKeys('holds', this.#holds, keyCheck)
  }

  #judgeKeys(notes: NumberedNotes, chain: NoteChain<unknown>, keyCheck: KeyCheck): void {
    for (; this.#named[notes] < chain.length; this.#named[notes]++) {
      const n = this.#named[notes]
      keyCheck.note(numberedKey(notes, BigInt(n)), chain[n]?.signer ?? null)
    }
  }
}

interface Witnessing {
  readonly findings: Findings
  readonly keyCheck: KeyCheck
}
