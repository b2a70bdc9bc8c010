/** The root of everything: the genesis note, and the explaining files whose SHA-256 it signs. */
import { hash } from 'node:crypto'
import type { ArchiveStore } from '../../ports/archive-store.ts'
import { parseGenesis } from '../documents.ts'
import { GENESIS_KEY } from '../keys.ts'
import type { Genesis } from '../manifest.ts'
import { openNote, parseVerifierKey, readNoteUnverified, type NoteVerifier } from '../signed-note.ts'
import type { Findings } from './finding.ts'
import { attempt, NOTE_BYTES_MAX } from './read-note.ts'

export interface VerifiedGenesis {
  readonly genesis: Genesis
  readonly sha256: string
  /** The pinned keys, or without one the key that genesis itself names. */
  readonly keys: readonly NoteVerifier[]
}

export interface GenesisRequest {
  readonly store: ArchiveStore
  readonly keys: readonly NoteVerifier[] | null
  readonly findings: Findings
}

/** @returns null when there is no genesis that can be believed; that is reported. */
export async function verifyGenesis(request: GenesisRequest): Promise<VerifiedGenesis | null> {
  const { store, findings } = request
  const bytes = await store.read(GENESIS_KEY, NOTE_BYTES_MAX)
  if (bytes === null) {
    findings.altered(
      'genesis-missing',
      GENESIS_KEY,
      'there is no genesis note: this is no archive, or not a whole one',
    )
    return null
  }
  const opened = attempt(request, GENESIS_KEY, () => openGenesis(bytes, request.keys))
  if (opened === null) return null
  await verifyFiles(request, opened.genesis)
  return { ...opened, sha256: hash('sha256', bytes, 'hex') }
}

function openGenesis(bytes: Buffer, pinned: readonly NoteVerifier[] | null): Omit<VerifiedGenesis, 'sha256'> {
  const keys = pinned ?? [parseVerifierKey(parseGenesis(readNoteUnverified(bytes)).root_key)]
  return { genesis: parseGenesis(openNote(bytes, keys).text), keys }
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
