/** The keys of an archive as its store tells them, for who then reads its notes: genesis, and key notes up to the first that is absent. */
import { HooktrailError } from '../../error/hooktrail-error.ts'
import type { ReadableArchive } from '../../ports/archive-store.ts'
import { GENESIS_KEY, numberedKey } from '../keys.ts'
import { keyIdOf, NOTE_BYTES_MAX, type NoteVerifier } from '../signed-note.ts'
import { KEY_NOTES_MAX, KeyChain } from './key-chain.ts'

/** Null where there is no genesis. @throws what KeyChain throws */
export async function readKeyChain(store: ReadableArchive): Promise<KeyChain | null> {
  const genesis = await store.read(GENESIS_KEY, NOTE_BYTES_MAX)
  if (genesis === null) return null
  const chain = new KeyChain(genesis)
  await readKeyNotes(store, chain)
  return chain
}

/** Those behind the chain's newest. @returns how many */
export async function readKeyNotes(store: ReadableArchive, chain: KeyChain): Promise<number> {
  for (let count = 0; ; count++) {
    const n = BigInt(chain.newestNote?.n ?? -1) + 1n
    const bytes = n < KEY_NOTES_MAX ? await store.read(numberedKey('keys', n), NOTE_BYTES_MAX) : null
    if (bytes === null) return count
    chain.add(bytes)
  }
}

/**
 * Whose notes are believed by somebody who was given these keys.
 * @throws ARCHIVE_NOT_FOUND without genesis, ARCHIVE_OTHER_KEY, and what KeyChain throws
 */
export async function believedKeys(
  store: ReadableArchive,
  pinned: readonly NoteVerifier[],
): Promise<readonly NoteVerifier[]> {
  const chain = await readKeyChain(store)
  if (chain === null)
    throw new HooktrailError('ARCHIVE_NOT_FOUND', { location: store.location, reason: 'no genesis.note' })
  requireKeyOf(chain, pinned)
  return chain.verifiers
}

/** @throws ARCHIVE_OTHER_KEY */
export function requireKeyOf(chain: KeyChain, pinned: readonly NoteVerifier[]): void {
  if (chain.includes(pinned)) return
  throw new HooktrailError('ARCHIVE_OTHER_KEY', {
    signed_by: keyIdOf(chain.root),
    given: pinned.map(keyIdOf),
  })
}
