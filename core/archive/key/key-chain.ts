/**
 * Which keys sign for an archive, from genesis on: the first one, and every key note's, each introduced as the archive's
 * root demands. Nothing is believed here that was not signed; whether this is the archive that somebody means is for him to
 * say, by a key of it that he was given (`includes`).
 */
import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { HooktrailError } from '../../error/hooktrail-error.ts'
import { parseGenesis } from '../documents.ts'
import type { Genesis } from '../manifest.ts'
import { keyIdOf, openNote, parseVerifierKey, readNoteUnverified, type NoteVerifier } from '../signed-note.ts'
import type { NumberedNote } from '../worm.ts'
import { openDelegation, type OpenedDelegation } from './delegation.ts'
import { parseKeyNote, type KeyNote } from './key-note.ts'

/**
 * What an archiver signed before it heard of another key comes within seconds, and its clock may differ by minutes: so long
 * after a key was replaced, or has run out, its notes are still taken.
 */
export const KEY_GRACE_MS = 3_600_000

/** Bounds what the names of key notes can make a reader hold. */
export const KEY_NOTES_MAX = 100_000

export interface ChainKey {
  readonly verifier: NoteVerifier
  /** When it was introduced. */
  readonly sinceMs: number
  /** Null: the root set no end. */
  readonly untilMs: number | null
  /** Why the key before did not have to agree; null: it agreed. */
  readonly reason: string | null
}

export class KeyChain {
  readonly genesis: Genesis
  readonly genesisSha256: string
  readonly root: NoteVerifier
  /** False where the first key is its own root. */
  readonly hasRoot: boolean
  readonly #keys: ChainKey[]
  readonly #notes: NumberedNote[] = []

  /** @throws ARCHIVE_NOTE_INVALID, ARCHIVE_DOCUMENT_INVALID, ARCHIVE_DELEGATION_INVALID */
  constructor(genesisNote: Buffer) {
    const genesis = parseGenesis(readNoteUnverified(genesisNote))
    this.genesis = genesis
    this.genesisSha256 = hash('sha256', genesisNote, 'hex')
    this.root = parseVerifierKey(genesis.root_key)
    this.hasRoot = genesis.delegation !== undefined
    const delegated = this.#delegated(genesis.delegation ?? null, null)
    const first = delegated?.key ?? this.root
    openNote(genesisNote, [first])
    this.#keys = [keyOf(first, genesis.created_at, delegated)]
  }

  /** Oldest first. */
  get keys(): readonly ChainKey[] {
    return this.#keys
  }

  get verifiers(): readonly NoteVerifier[] {
    return this.#keys.map(({ verifier }) => verifier)
  }

  get newest(): ChainKey {
    return this.#keys.at(-1) ?? assert.fail('an archive has a first key')
  }

  /** The newest key note; null while there is none. */
  get newestNote(): NumberedNote | null {
    return this.#notes.at(-1) ?? null
  }

  noteOf(n: number): NumberedNote | null {
    return this.#notes[n] ?? null
  }

  /** What `keys/<n>.note` that comes next must name as the one before. */
  get previous(): string {
    return this.newestNote?.sha256 ?? this.genesisSha256
  }

  /** Takes over the next key note. @throws ARCHIVE_NOTE_INVALID, ARCHIVE_DOCUMENT_INVALID, ARCHIVE_DELEGATION_INVALID */
  add(bytes: Buffer): void {
    const note = parseKeyNote(readNoteUnverified(bytes))
    const n = String(this.#notes.length)
    if (note.archive_id !== this.genesis.archive_id) throw invalid('it belongs to another archive')
    if (note.n !== n || note.previous !== this.previous)
      throw invalid('it does not follow the one before it, or genesis')
    const key = parseVerifierKey(note.key)
    if (this.#keys.some(({ verifier }) => verifier.vkey === key.vkey))
      throw invalid('its key signed for this archive before')
    if (Date.parse(note.created_at) < this.newest.sinceMs)
      throw invalid('it is dated before the one before it')
    const delegated = this.#delegated(note.delegation, note)
    const before = this.newest.verifier
    const { signedBy } = openNote(bytes, [before, key])
    if (!signedBy.includes(key)) throw invalid('its own key did not sign it')
    if (!signedBy.includes(before) && (delegated?.document.reason ?? null) === null)
      throw invalid(`the key before it, ${keyIdOf(before)}, did not sign it`)
    this.#keys.push(keyOf(key, note.created_at, delegated))
    this.#notes.push({ n, sha256: hash('sha256', bytes, 'hex') })
  }

  /** True where one of these is the root, or a key of this chain: such a key commits to all that came before it. */
  includes(pinned: readonly NoteVerifier[]): boolean {
    const known = new Set([this.root.vkey, ...this.verifiers.map(({ vkey }) => vkey)])
    return pinned.some(({ vkey }) => known.has(vkey))
  }

  /** Place among `keys`; −1 for another's. */
  indexOf({ vkey }: Pick<NoteVerifier, 'vkey'>): number {
    return this.#keys.findIndex(({ verifier }) => verifier.vkey === vkey)
  }

  /** Why a note of this key is not believed at that time; null: it is. @param atMs as heartbeats tell the time */
  faultAt(key: NoteVerifier, atMs: number): string | null {
    const index = this.indexOf(key)
    const next = this.#keys[index + 1]
    if (next !== undefined && atMs > next.sinceMs + KEY_GRACE_MS)
      return `it is signed by ${keyIdOf(key)}, which was replaced at ${isoTime(next.sinceMs)}`
    const until = this.#keys[index]?.untilMs ?? null
    return until !== null && atMs > until + KEY_GRACE_MS
      ? `it is signed by ${keyIdOf(key)}, which ran out at ${isoTime(until)}`
      : null
  }

  /** Why a delegation does not hold for a key in place of the newest; null: it does. */
  faultAsNext(opened: OpenedDelegation): string | null {
    return this.#faultAs(opened, this.newest.verifier.vkey)
  }

  /** @param replaces the key that is in force; null before an archive's first */
  #faultAs({ document }: OpenedDelegation, replaces: string | null): string | null {
    if (document.root_key !== this.root.vkey) return 'it is signed by another root'
    if (document.archive_id !== this.genesis.archive_id) return 'it is for another archive'
    if (document.replaces === replaces) return null
    return replaces === null ? 'it is for a later key' : 'it is for the place of another key'
  }

  /** @returns null where the archive has no root of its own */
  #delegated(note: string | null, at: KeyNote | null): OpenedDelegation | null {
    if (!this.hasRoot) {
      if (note !== null) throw refused('the archive has no root of its own')
      return null
    }
    if (note === null) throw refused('the root did not sign for its key')
    const opened = openDelegation(note)
    const fault = at === null ? this.#faultAs(opened, null) : this.faultAsNext(opened)
    if (fault !== null) throw refused(fault)
    if (at !== null && opened.document.key !== at.key) throw refused('the root signed for another key')
    return opened
  }
}

function keyOf(verifier: NoteVerifier, createdAt: string, delegated: OpenedDelegation | null): ChainKey {
  const { until = null, reason = null } = delegated?.document ?? {}
  const untilMs = until === null ? null : Date.parse(until)
  return { verifier, sinceMs: Date.parse(createdAt), untilMs, reason }
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}

function refused(reason: string): HooktrailError {
  return new HooktrailError('ARCHIVE_DELEGATION_INVALID', { reason })
}

function invalid(reason: string): HooktrailError {
  return new HooktrailError('ARCHIVE_NOTE_INVALID', { reason })
}
