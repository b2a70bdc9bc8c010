/** Keys of archives that tests build, and what a root says of them. */
import { generateKeyPairSync } from 'node:crypto'
import { encodeDelegation, type Delegation } from '../../core/archive/key/delegation.ts'
import { makeSigner, signNote, type NoteSigner } from '../../core/archive/signed-note.ts'
import { ARCHIVE_START_MS } from './archive-records.ts'

/** What a rotation says other than that the key before agrees, and for ever. */
export interface Rotation {
  /** Who signs the note: as a rule the key before and the new one. */
  readonly signers?: readonly NoteSigner[]
  readonly reason?: string
  readonly until?: string
}

/** The root's word for a key of the archive. */
export function delegationBy(
  root: NoteSigner,
  said: Pick<Delegation, 'key' | 'replaces'> & Partial<Delegation>,
): string {
  const text = encodeDelegation({
    kind: 'delegation',
    format_version: 1,
    archive_id: 'test-archive',
    created_at: new Date(ARCHIVE_START_MS).toISOString(),
    root_key: root.vkey,
    reason: null,
    until: null,
    ...said,
  })
  return signNote(text, root).toString()
}

/** A key of the same name: what tells two of them apart is the key alone. */
export function newSigner(): NoteSigner {
  return makeSigner(generateKeyPairSync('ed25519').privateKey, 'hooktrail-test')
}
