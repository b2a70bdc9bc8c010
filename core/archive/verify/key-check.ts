/**
 * Who may sign when: every note is by a key of the archive, inside that key's time. Time is what heartbeats say, which are in
 * order; what a note says of its own date a thief of an old key could choose.
 */
import type { KeyChain } from '../key/key-chain.ts'
import { numberedKey } from '../keys.ts'
import type { Heartbeat } from '../manifest.ts'
import { keyIdOf, statedSigner, type NoteVerifier } from '../signed-note.ts'
import type { Findings } from './finding.ts'

/** Of heartbeats, in their order: each names the newest key note that its writer knew, and is signed by that note's key. */
export class KeyCheck {
  readonly #chain: KeyChain
  readonly #findings: Findings
  /** Number of the key in force: 0 is the one that signed genesis. */
  #index = 0
  /** The heartbeat from which on each key holds, by the key's number. */
  readonly #first = new Map<number, string>()
  /** Date of the newest heartbeat. */
  #lastMs: number | null = null

  constructor(chain: KeyChain, findings: Findings) {
    this.#chain = chain
    this.#findings = findings
  }

  /** Before anything that the heartbeat names is looked at. */
  heartbeat(key: string, document: Heartbeat, bytes: Buffer): void {
    const fault = this.#heartbeatFault(key, document, bytes)
    if (fault !== null) this.#findings.altered('key-window', key, fault)
  }

  /** After it: what the next one names was not there yet. */
  end(document: Heartbeat): void {
    this.#lastMs = Date.parse(document.created_at)
  }

  /** Number of the first heartbeat of the key; null: there is none. */
  firstOf(index: number): string | null {
    return this.#first.get(index) ?? null
  }

  /** A heartbeat that cannot be believed may be signed by a key whose note was taken away: then that is missing, too. */
  missing(key: string, { keys }: Pick<Heartbeat, 'keys'>): void {
    if (keys === undefined || this.#chain.noteOf(Number(keys.n)) !== null) return
    const name = numberedKey('keys', BigInt(keys.n))
    this.#findings.altered('note-missing', name, `it is missing; ${key} names it`)
  }

  /** A note that the next heartbeat names for the first time, or that none does. */
  note(key: string, signer: NoteVerifier | null): void {
    const fault = signer && this.#lastMs !== null ? this.#chain.faultAt(signer, this.#lastMs) : null
    if (fault !== null) this.#findings.altered('key-window', key, fault)
  }

  #heartbeatFault(key: string, document: Heartbeat, bytes: Buffer): string | null {
    const { keys, created_at: createdAt } = document
    this.missing(key, document)
    const index = keys === undefined ? 0 : Number(keys.n) + 1
    const due = this.#chain.keys[index]
    if (due === undefined) return null
    if (keys !== undefined && this.#chain.noteOf(index - 1)?.sha256 !== keys.sha256) {
      const name = numberedKey('keys', BigInt(keys.n))
      this.#findings.altered('note-chain', name, `it is not the one that ${key} names`)
    }
    if (index < this.#index) return 'it names an older key than the one before it'
    this.#index = index
    if (!this.#first.has(index)) this.#first.set(index, document.n)
    const signer = statedSigner(bytes, this.#chain.verifiers)
    if (signer?.vkey !== due.verifier.vkey)
      return `it is not signed by the key that it names, ${keyIdOf(due.verifier)}`
    return this.#chain.faultAt(signer, Date.parse(createdAt))
  }
}
