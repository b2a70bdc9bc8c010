/** The key notes of an archive, in their order: each introduces a key as the archive's root, or the key before, allows. */
import type { KeyChain } from '../key/key-chain.ts'
import { numberedKey } from '../keys.ts'
import { NOTE_BYTES_MAX } from '../signed-note.ts'
import { attempt } from './read-note.ts'
import { numberedNoteOf } from './verify-agreements.ts'
import type { Reading } from './verify-context.ts'

/** @returns false where one is missing or cannot be believed; that is reported, and no later one is believed */
export async function verifyKeyNotes(
  { store, findings }: Pick<Reading, 'store' | 'findings'>,
  chain: KeyChain,
): Promise<boolean> {
  let next = 0
  let isWhole = true
  for await (const { key } of store.list('keys/')) {
    const n = numberedNoteOf('keys', key)
    if (n === null || n < next) {
      findings.altered('foreign', key, 'no note has this name')
      continue
    }
    if (n > next) {
      const missing = numberedKey('keys', BigInt(next))
      findings.altered('note-missing', missing, 'it is missing, and later ones are there')
      isWhole = false
    }
    next = n + 1
    if (!isWhole) continue
    const bytes = await store.read(key, NOTE_BYTES_MAX)
    const added = bytes && attempt({ findings }, key, () => addTo(chain, bytes))
    isWhole = added !== null
  }
  return isWhole
}

function addTo(chain: KeyChain, bytes: Buffer): true {
  chain.add(bytes)
  return true
}
