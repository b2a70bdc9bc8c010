/**
 * Checks a proof with nothing but itself and a public key that was given. It says what is proven: this event, at this
 * offset, in this archive, under a heartbeat of this number.
 */
import { hash } from 'node:crypto'
import { HooktrailError } from '../../error/hooktrail-error.ts'
import { manifestLeaf, parseHeartbeat, parseManifest } from '../documents.ts'
import { leafPreimage } from '../leaf.ts'
import type { Heartbeat, Manifest } from '../manifest.ts'
import { merkleLeaf } from '../merkle.ts'
import { decodeRow, type DecodedRow } from '../row.ts'
import { KeyChain } from '../key/key-chain.ts'
import { requireKeyOf } from '../key/read-key-chain.ts'
import { openNote, statedSigner, type NoteVerifier } from '../signed-note.ts'
import { rootOfPath } from '../tree/tree-range.ts'
import type { Proof } from './proof.ts'

export interface ProvenEvent extends DecodedRow {
  readonly manifest: Manifest
  readonly heartbeat: Heartbeat
}

/**
 * @param pinned root, first or later key of the archive
 * @throws ARCHIVE_PROOF_INVALID, ARCHIVE_NOTE_INVALID, ARCHIVE_DOCUMENT_INVALID, ARCHIVE_ROW_INVALID,
 * ARCHIVE_DELEGATION_INVALID, ARCHIVE_OTHER_KEY
 */
export function checkProof(proof: Proof, pinned: readonly NoteVerifier[]): ProvenEvent {
  const chain = chainOf(proof, pinned)
  const keys = chain?.verifiers ?? pinned
  const manifest = parseManifest(openNote(Buffer.from(proof.manifest), keys).text)
  const heartbeat = parseHeartbeat(openNote(Buffer.from(proof.heartbeat), keys).text)
  if (manifest.archive_id !== heartbeat.archive_id) throw invalid('its two notes are of two archives')
  if (chain !== null) checkKey(chain, proof, heartbeat)
  const row = decodeRow(JSON.stringify(proof.row))
  const preimage = Buffer.from(proof.preimage, 'base64')
  if (!leafPreimage(row.record, row.at).equals(preimage))
    throw invalid('its row is another one than its bytes')
  if (row.at.topic !== manifest.topic) throw invalid('its row belongs to another topic')
  checkSegment(proof, { row, manifest, leaf: merkleLeaf(preimage) })
  const leaf = manifestLeaf(hash('sha256', Buffer.from(proof.manifest), 'hex'))
  const root = rootOfPath({ leaf, size: Number(heartbeat.tree_size), ...toPath(proof.tree) })
  if (root?.toString('hex') !== heartbeat.tree_root)
    throw invalid('its manifest does not lead to the root that the heartbeat signs')
  return { ...row, manifest, heartbeat }
}

/** Null where the proof needs no keys but those that were given. */
function chainOf({ keys }: Proof, pinned: readonly NoteVerifier[]): KeyChain | null {
  const [genesis, ...notes] = keys ?? []
  if (genesis === undefined) return null
  const chain = new KeyChain(Buffer.from(genesis))
  for (const note of notes) chain.add(Buffer.from(note))
  requireKeyOf(chain, pinned)
  return chain
}

/** The heartbeat is of the archive that genesis begins, and of the key that was in force. */
function checkKey(chain: KeyChain, proof: Proof, heartbeat: Heartbeat): void {
  if (chain.genesis.archive_id !== heartbeat.archive_id) throw invalid('its keys are of another archive')
  const signer = statedSigner(Buffer.from(proof.heartbeat), chain.verifiers)
  const due = chain.keys[heartbeat.keys === undefined ? 0 : Number(heartbeat.keys.n) + 1]
  const isDue = signer !== null && due?.verifier.vkey === signer.vkey
  const fault = isDue
    ? chain.faultAt(signer, Date.parse(heartbeat.created_at))
    : 'of another key than it names'
  if (fault !== null) throw invalid(`its heartbeat is not believed: ${fault}`)
}

interface SegmentLeaf {
  readonly row: DecodedRow
  readonly manifest: Manifest
  readonly leaf: Buffer
}

function checkSegment(proof: Proof, { row: { at, record }, manifest, leaf }: SegmentLeaf): void {
  const isOf = at.topicId === manifest.topic_id && at.partition === manifest.partition
  if (!isOf || record.offset < BigInt(manifest.first) || record.offset > BigInt(manifest.last))
    throw invalid('its manifest is of another range')
  const root = rootOfPath({ leaf, size: manifest.leaves, ...toPath(proof.segment) })
  if (root?.toString('hex') !== manifest.merkle_root)
    throw invalid('its bytes do not lead to the root that the manifest signs')
}

function toPath({ index, path }: Proof['segment']): {
  readonly index: number
  readonly path: readonly Buffer[]
} {
  return { index, path: path.map((node) => Buffer.from(node, 'hex')) }
}

function invalid(reason: string): HooktrailError {
  return new HooktrailError('ARCHIVE_PROOF_INVALID', { reason })
}
