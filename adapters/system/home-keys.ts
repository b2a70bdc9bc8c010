/**
 * The archive's keys below $HOOKTRAIL_HOME/keys: `archive.key` signs, `archive-next.key` is to take its place, `archive.note`
 * and `archive-next.note` are what a root key says of them. Promoting keeps the old key beside them until somebody removes
 * it; `archive.key` is there at every moment, since where it is missing a start would make another one.
 */
import { link, readFile, rename } from 'node:fs/promises'
import path from 'node:path'
import { openDelegation } from '../../core/archive/key/delegation.ts'
import type { NoteSigner, NoteVerifier } from '../../core/archive/signed-note.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { KeySource, Signer } from '../../core/ports/signer.ts'
import { errnoOf } from './errno.ts'
import {
  archivePrivateKeyPath,
  archivePublicKeyPath,
  archiveSignerOf,
  ensureArchiveKey,
  readPublicKeys,
} from './key-files.ts'
import { createFileOnce, PUBLIC_MODE, readSecretFile, replaceFile } from './secret-file.ts'

export function nextKeyPath(home: string): string {
  return path.join(home, 'keys', 'archive-next.key')
}

export function delegationPath(home: string): string {
  return path.join(home, 'keys', 'archive.note')
}

export function nextDelegationPath(home: string): string {
  return path.join(home, 'keys', 'archive-next.note')
}

/** What the root says of the keys in this home. */
export async function readDelegations(home: string): Promise<readonly string[]> {
  const notes = [await readIfThere(delegationPath(home)), await readIfThere(nextDelegationPath(home))]
  return notes.filter((note) => note !== null)
}

export class HomeKeys implements Pick<KeySource, 'promote'> {
  readonly #home: string

  constructor(home: string) {
    this.#home = home
  }

  /** The one that signs, and the next where there is one. */
  async signers(): Promise<readonly Signer[]> {
    const found = [await this.#signer(archivePrivateKeyPath(this.#home)), await this.#next()]
    return found.filter((signer) => signer !== null)
  }

  /** In this order, so that a crash leaves a public key too many, then the old key twice, then a note too many. */
  async promote(vkey: string): Promise<void> {
    const next = await this.#next()
    if (next?.vkey !== vkey) return
    await this.#publish(vkey)
    const current = archivePrivateKeyPath(this.#home)
    const old = await this.#signer(current)
    if (old !== null && old.vkey !== vkey)
      await linkOnce(current, path.join(this.#home, 'keys', `retired-${old.keyHash.toString('hex')}.key`))
    await rename(nextKeyPath(this.#home), current)
    await rename(nextDelegationPath(this.#home), delegationPath(this.#home)).catch(unlessAbsent)
  }

  /** What was published stays: auditors hold it. */
  async #publish(vkey: string): Promise<void> {
    const file = archivePublicKeyPath(this.#home)
    const published = await readPublicKeys(file)
    if (published.some((key) => key.vkey === vkey)) return
    await replaceFile(file, `${(await readFile(file, 'utf8')).trimEnd()}\n${vkey}\n`, PUBLIC_MODE)
  }

  #next(): Promise<Signer | null> {
    return this.#signer(nextKeyPath(this.#home))
  }

  async #signer(file: string): Promise<Signer | null> {
    const pem = await readSecretFile(file)
    return pem === null ? null : archiveSignerOf(pem, file)
  }
}

/** Made at first use. @throws ARCHIVE_KEY_FILE_OPEN, ARCHIVE_KEY_FILE_INVALID, ARCHIVE_PUBLIC_KEY_INVALID */
export async function ensureArchiveSigner(home: string): Promise<NoteSigner> {
  const signer = await ensureArchiveKey(home)
  const roots = rootsOf(await readDelegations(home))
  await publishKey(home, (roots[0] ?? signer).vkey)
  const file = archivePublicKeyPath(home)
  const published = await readPublicKeys(file)
  if (published.some(({ vkey }) => [signer, ...roots].some((key) => key.vkey === vkey))) return signer
  throw new HooktrailError('ARCHIVE_KEY_FILE_INVALID', { file, reason: 'not of this key' })
}

/** Unless one is published already: auditors, and who only reads, take it from there. */
export async function publishKey(home: string, vkey: string): Promise<void> {
  await createFileOnce(archivePublicKeyPath(home), `${vkey}\n`, PUBLIC_MODE)
}

/** Whose words these are. @throws ARCHIVE_NOTE_INVALID, ARCHIVE_DOCUMENT_INVALID */
export function rootsOf(delegations: readonly string[]): readonly NoteVerifier[] {
  return delegations.map((note) => openDelegation(note).root)
}

async function readIfThere(file: string): Promise<string | null> {
  return readFile(file, 'utf8').catch(unlessAbsent)
}

async function linkOnce(from: string, to: string): Promise<void> {
  await link(from, to).catch((error: unknown) => {
    if (errnoOf(error) !== 'EEXIST') throw error
  })
}

function unlessAbsent(error: unknown): null {
  if (errnoOf(error) === 'ENOENT') return null
  throw error
}
