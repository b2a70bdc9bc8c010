/** The root of everything: the genesis note, and the explaining files whose SHA-256 it signs. */
import { hash } from 'node:crypto'
import type { ReadableArchive } from '../../ports/archive-store.ts'
import { HooktrailError, isHooktrailError } from '../../error/hooktrail-error.ts'
import { parseGenesis } from '../documents.ts'
import { GENESIS_KEY, heartbeatKey } from '../keys.ts'
import type { Genesis } from '../manifest.ts'
import {
  NOTE_BYTES_MAX,
  openNote,
  parseVerifierKey,
  readNoteUnverified,
  type NoteVerifier,
} from '../signed-note.ts'
import type { Findings } from './finding.ts'
import { attempt } from './read-note.ts'

export interface VerifiedGenesis {
  readonly genesis: Genesis
  readonly sha256: string
  /** The pinned keys, or without one the key that genesis itself names. */
  readonly keys: readonly NoteVerifier[]
}

export interface GenesisRequest {
  readonly store: ReadableArchive
  readonly keys: readonly NoteVerifier[] | null
  readonly findings: Findings
}

/** @returns null when there is no genesis that can be believed; that is reported. */
export async function verifyGenesis(request: GenesisRequest): Promise<VerifiedGenesis | null> {
  const { store, findings } = request
  const bytes = await store.read(GENESIS_KEY, NOTE_BYTES_MAX)
  if (bytes === null) {
    findings.altered('genesis-missing', GENESIS_KEY, 'there is no genesis note: the archive is not whole')
    return null
  }
  if (request.keys !== null) await refuseOtherKey(store, bytes, request.keys)
  const opened = attempt(request, GENESIS_KEY, () => openGenesis(bytes, request.keys))
  if (opened === null) return null
  await verifyFiles(request, opened.genesis)
  return { ...opened, sha256: hash('sha256', bytes, 'hex') }
}

function openGenesis(bytes: Buffer, pinned: readonly NoteVerifier[] | null): Omit<VerifiedGenesis, 'sha256'> {
  const keys = pinned ?? [parseVerifierKey(parseGenesis(readNoteUnverified(bytes)).root_key)]
  return { genesis: parseGenesis(openNote(bytes, keys).text), keys }
}

/**
 * A genesis that is true under the key which it names itself, and not under a given one: the wrong key was given, or
 * somebody put an archive of his own here. Where heartbeats bear the given key only genesis was replaced: that is found.
 * @throws ARCHIVE_OTHER_KEY
 */
async function refuseOtherKey(
  store: ReadableArchive,
  genesis: Buffer,
  pinned: readonly NoteVerifier[],
): Promise<void> {
  if (signers(genesis, pinned) !== null) return
  const own = ownKey(genesis)
  if (own === null || signers(genesis, [own]) === null) return
  const heartbeat = await store.read(heartbeatKey(0n), NOTE_BYTES_MAX)
  if (heartbeat !== null && signers(heartbeat, pinned) !== null) return
  throw new HooktrailError('ARCHIVE_OTHER_KEY', { signed_by: keyId(own), given: pinned.map(keyId) })
}

function ownKey(genesis: Buffer): NoteVerifier | null {
  return valid(() => parseVerifierKey(parseGenesis(readNoteUnverified(genesis)).root_key))
}

function signers(note: Buffer, keys: readonly NoteVerifier[]): readonly string[] | null {
  return valid(() => openNote(note, keys).signedBy)
}

function valid<T>(read: () => T): T | null {
  try {
    return read()
  } catch (error) {
    if (isHooktrailError(error)) return null
    throw error
  }
}

/** As in the public key's line: name and id. */
function keyId({ name, keyHash }: NoteVerifier): string {
  return `${name}+${keyHash.toString('hex')}`
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
