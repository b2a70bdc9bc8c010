/**
 * The keys of the archive as this archiver knows them, and the one of them that it can sign with. Whoever reads a note of a
 * key that is not known yet looks for its key note first: another archiver may have introduced it a moment ago.
 */
import { readKeyNotes } from '../core/archive/key/read-key-chain.ts'
import type { KeyChain } from '../core/archive/key/key-chain.ts'
import {
  keyIdOf,
  openNote,
  statedSigner,
  type NoteVerifier,
  type OpenedNote,
} from '../core/archive/signed-note.ts'
import type { NumberedNote } from '../core/archive/worm.ts'
import type { Clock } from '../core/clock.ts'
import { HooktrailError, isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { ArchiveStore } from '../core/ports/archive-store.ts'
import type { Signer } from '../core/ports/signer.ts'

export interface ArchiveKeysOptions {
  readonly archive: ArchiveStore
  readonly clock: Clock
  readonly chain: KeyChain
  /** Keys at hand. */
  readonly signers: readonly Signer[]
}

export class ArchiveKeys {
  readonly chain: KeyChain
  readonly #options: ArchiveKeysOptions
  #signers: readonly Signer[]
  #seenMs: number | null = null
  /** Several loops ask; one reads. */
  #catchingUp: Promise<number> | null = null

  constructor(options: ArchiveKeysOptions) {
    this.chain = options.chain
    this.#options = options
    this.#signers = options.signers
  }

  get verifiers(): readonly NoteVerifier[] {
    return this.chain.verifiers
  }

  /** What a heartbeat names. */
  get newestNote(): NumberedNote | null {
    return this.chain.newestNote
  }

  /** The one that signs now. @throws ARCHIVE_KEY_RETIRED, ARCHIVE_KEY_EXPIRED */
  signer(): Signer {
    const { verifier, untilMs } = this.chain.newest
    const signer = this.signerOf(verifier)
    if (signer === null) throw new HooktrailError('ARCHIVE_KEY_RETIRED', { in_force: keyIdOf(verifier) })
    if (untilMs !== null && this.#options.clock.now() > untilMs) {
      const until = new Date(untilMs).toISOString()
      throw new HooktrailError('ARCHIVE_KEY_EXPIRED', { key: keyIdOf(verifier), until })
    }
    return signer
  }

  /** Null: it is not at hand. */
  signerOf({ vkey }: Pick<NoteVerifier, 'vkey'>): Signer | null {
    return this.#signers.find((signer) => signer.vkey === vkey) ?? null
  }

  /** Keys that came to hand, or went. */
  hold(signers: readonly Signer[]): void {
    this.#signers = signers
  }

  /** Reads which keys others introduced. @returns how many. @throws ARCHIVE_NOTE_INVALID, ARCHIVE_DELEGATION_INVALID */
  catchUp(): Promise<number> {
    const { archive } = this.#options
    this.#catchingUp ??= readKeyNotes(archive, this.chain).finally(() => {
      this.#catchingUp = null
    })
    return this.#catchingUp
  }

  /** @throws ARCHIVE_NOTE_INVALID when it is not signed by a key of this archive. */
  async open(bytes: Buffer): Promise<OpenedNote> {
    try {
      return openNote(bytes, this.verifiers)
    } catch (error) {
      if (!isHooktrailError(error, 'ARCHIVE_NOTE_INVALID') || (await this.catchUp()) === 0) throw error
      return openNote(bytes, this.verifiers)
    }
  }

  /** Date of the newest heartbeat; null before the first. */
  get seenMs(): number | null {
    return this.#seenMs
  }

  /** A heartbeat of that date is there. */
  see(createdAt: string): void {
    this.#seenMs = Math.max(this.#seenMs ?? 0, Date.parse(createdAt))
  }

  /**
   * What no heartbeat names yet may be of a key that was replaced only for a while: verifiers judge it so.
   * @throws ARCHIVE_NOTE_INVALID
   */
  refuseRetired(bytes: Buffer): void {
    const signer = statedSigner(bytes, this.verifiers)
    if (signer === null || this.#seenMs === null) return
    const reason = this.chain.faultAt(signer, this.#seenMs)
    if (reason !== null) throw new HooktrailError('ARCHIVE_NOTE_INVALID', { reason })
  }
}
