/** The root of everything: the genesis note, the keys that sign from then on, and the explaining files that it names. */
import { hash } from 'node:crypto'
import type { ReadableArchive } from '../../ports/archive-store.ts'
import { isHooktrailError } from '../../error/hooktrail-error.ts'
import { KeyChain } from '../key/key-chain.ts'
import { requireKeyOf } from '../key/read-key-chain.ts'
import { GENESIS_KEY, heartbeatKey } from '../keys.ts'
import type { Genesis } from '../manifest.ts'
import { NOTE_BYTES_MAX, openNote, type NoteVerifier } from '../signed-note.ts'
import type { Findings } from './finding.ts'
import { attempt } from './read-note.ts'
import { verifyKeyNotes } from './verify-keys.ts'

export interface GenesisRequest {
  readonly store: ReadableArchive
  /** Pinned by the auditor; null: none. */
  readonly keys: readonly NoteVerifier[] | null
  readonly findings: Findings
}

/** @returns the archive's keys; null when there is no genesis that can be believed; that is reported. @throws ARCHIVE_OTHER_KEY */
export async function verifyGenesis(request: GenesisRequest): Promise<KeyChain | null> {
  const { store, findings, keys } = request
  const bytes = await store.read(GENESIS_KEY, NOTE_BYTES_MAX)
  if (bytes === null) {
    findings.altered('genesis-missing', GENESIS_KEY, 'there is no genesis note: the archive is not whole')
    return null
  }
  const chain = attempt(request, GENESIS_KEY, () => new KeyChain(bytes))
  if (chain === null) return null
  const isWhole = await verifyKeyNotes(request, chain)
  if (keys !== null && !chain.includes(keys)) {
    // A key that is pinned may be one that a note introduces which cannot be believed: then that is what is wrong.
    if (isWhole) await refuseOtherKey(store, chain, keys)
    findings.altered('note-invalid', GENESIS_KEY, 'the note cannot be believed: signed by an unknown key')
    return null
  }
  await verifyFiles(request, chain.genesis)
  return chain
}

/**
 * A genesis that is true under the key which it names itself, and not under a given one: the wrong key was given, or
 * somebody put an archive of his own here. Where heartbeats bear the given key only genesis was replaced: that is found.
 * @throws ARCHIVE_OTHER_KEY
 */
async function refuseOtherKey(
  store: ReadableArchive,
  chain: KeyChain,
  pinned: readonly NoteVerifier[],
): Promise<void> {
  const heartbeat = await store.read(heartbeatKey(0n), NOTE_BYTES_MAX)
  if (heartbeat === null || !isSigned(heartbeat, pinned)) requireKeyOf(chain, pinned)
}

function isSigned(note: Buffer, keys: readonly NoteVerifier[]): boolean {
  try {
    openNote(note, keys)
    return true
  } catch (error) {
    if (isHooktrailError(error)) return false
    throw error
  }
}

async function verifyFiles({ store, findings }: GenesisRequest, genesis: Genesis): Promise<void> {
  for (const [key, sha256] of Object.entries(genesis.files)) {
    const bytes = await store.read(key, NOTE_BYTES_MAX)
    if (bytes === null) findings.altered('file-altered', key, 'the file that genesis names is missing')
    else if (hash('sha256', bytes, 'hex') !== sha256) {
      findings.altered('file-altered', key, 'the file does not have the SHA-256 that genesis names')
    }
  }
}
