/**
 * Every object under the archive is reached from a signature, or it does not belong here. A data object's name says
 * which manifest names it, so no list of names is held. One data object at a chain's head may wait for its manifest:
 * that is what a crash between the two leaves.
 */
import { parseManifest } from '../documents.ts'
import { dataKeyParts, GENESIS_KEY, segmentPrefix } from '../keys.ts'
import type { Genesis } from '../manifest.ts'
import { readNoteUnverified } from '../signed-note.ts'
import { attempt, NOTE_BYTES_MAX } from './read-note.ts'
import type { VerifyContext } from './verify-context.ts'
import type { ChainEnd } from './verify-segments.ts'

export interface InventoryRequest {
  readonly genesis: Genesis
  readonly ends: ReadonlyMap<string, ChainEnd>
}

export async function verifyInventory(context: VerifyContext, request: InventoryRequest): Promise<void> {
  const heads = new Map(
    [...request.ends.values()].map((end) => [segmentPrefix(end.topic, end.topic_id, end.partition), end]),
  )
  for await (const { key } of context.store.list('')) {
    context.signal.throwIfAborted()
    context.counts.objects += 1
    if (key.startsWith('data/')) await verifyNamed(context, key, heads)
    else if (!isKnown(key, request.genesis)) {
      context.findings.altered('foreign', key, 'nothing signed leads to this object')
    }
  }
}

/** Heartbeats and segments were met one by one in their own passes. */
function isKnown(key: string, genesis: Genesis): boolean {
  if (key === GENESIS_KEY || key.startsWith('heartbeats/') || key.startsWith('segments/')) return true
  return Object.hasOwn(genesis.files, key)
}

async function verifyNamed(
  context: VerifyContext,
  key: string,
  heads: ReadonlyMap<string, ChainEnd>,
): Promise<void> {
  const { findings, store } = context
  const parts = dataKeyParts(key)
  if (parts === null) {
    findings.altered('foreign', key, 'no data object has such a name')
    return
  }
  const bytes = await store.read(parts.manifestKey, NOTE_BYTES_MAX)
  const manifest =
    bytes && attempt(context, parts.manifestKey, () => parseManifest(readNoteUnverified(bytes)))
  if (manifest?.data?.key === key) return
  const next = BigInt(heads.get(parts.folder)?.next ?? parts.start)
  if (bytes === null && parts.start === next) {
    findings.note('orphan', key, 'it waits for its manifest, as after a crash between the two')
    return
  }
  findings.altered('orphan', key, 'no manifest names this data object')
}
