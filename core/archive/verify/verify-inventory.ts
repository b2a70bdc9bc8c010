/**
 * Every object under the archive is reached from a signature, or it does not belong here. A data object's name says
 * which manifest names it, so no list of names is held. One data object at a chain's head may wait for its manifest:
 * that is what a crash between the two leaves.
 */
import { ANCHORS_PREFIX } from '../anchor/anchor-keys.ts'
import { parseManifest } from '../documents.ts'
import { dataKeyParts, GENESIS_KEY, heartbeatKey, segmentPrefix, type DataKeyName } from '../keys.ts'
import type { Genesis, Heartbeat, Manifest } from '../manifest.ts'
import { NOTE_BYTES_MAX, readNoteUnverified } from '../signed-note.ts'
import { fullTiles, tilePlace } from '../tree/tile.ts'
import { attempt } from './read-note.ts'
import type { ChainEnd } from './partition-table.ts'
import type { VerifyContext } from './verify-context.ts'

export interface InventoryRequest {
  readonly genesis: Genesis
  readonly ends: ReadonlyMap<string, ChainEnd>
  readonly last: Heartbeat | null
}

export async function verifyInventory(context: VerifyContext, request: InventoryRequest): Promise<void> {
  const waiting = new WaitingData(context, request.ends)
  for await (const { key } of context.store.list('')) {
    context.signal.throwIfAborted()
    context.counts.objects += 1
    if (key.startsWith('data/')) await verifyNamed(context, key, waiting)
    else if (!isKnown(key, request.genesis) && !(await isOfTree(context, key, request.last))) {
      context.findings.altered('foreign', key, 'nothing signed leads to this object')
    }
  }
}

/** What is below these was met one by one in passes of its own. */
const MET = ['heartbeats/', 'segments/', 'policy/', 'holds/', 'keys/', ANCHORS_PREFIX]

function isKnown(key: string, genesis: Genesis): boolean {
  if (key === GENESIS_KEY || MET.some((folder) => key.startsWith(folder))) return true
  return Object.hasOwn(genesis.files, key)
}

/** A full tile of the tree, which was compared while its leaves passed by, or of one that is signed meanwhile. */
async function isOfTree(context: VerifyContext, key: string, last: Heartbeat | null): Promise<boolean> {
  const tile = tilePlace(key)
  if (tile === null || last === null) return false
  if (tile.index < fullTiles(BigInt(last.tree_size), tile.level)) return true
  return (await context.store.read(heartbeatKey(BigInt(last.n) + 1n), NOTE_BYTES_MAX)) !== null
}

async function verifyNamed(context: VerifyContext, key: string, waiting: WaitingData): Promise<void> {
  const parts = dataKeyParts(key)
  if (parts === null) {
    context.findings.altered('foreign', key, 'no data object has such a name')
    return
  }
  const manifest = await readManifest(context, parts.manifestKey)
  if (manifest !== 'absent') {
    if (manifest?.data?.key !== key)
      context.findings.altered('orphan', key, 'no manifest names this data object')
    return
  }
  if (await waiting.admits(parts)) {
    context.findings.note('orphan', key, 'it waits for its manifest, as after a crash between the two')
  } else {
    context.findings.altered('orphan', key, 'its manifest is missing')
  }
}

/** @returns null when it is there and cannot be believed; that is reported. */
async function readManifest(context: VerifyContext, key: string): Promise<Manifest | null | 'absent'> {
  const bytes = await context.store.read(key, NOTE_BYTES_MAX)
  if (bytes === null) return 'absent'
  return attempt(context, key, () => parseManifest(readNoteUnverified(bytes)))
}

/** Which data objects may lie without a manifest: one for each chain, at its very head. */
class WaitingData {
  readonly #context: VerifyContext
  /** Head of each chain by the folder of its manifests. */
  readonly #heads: Map<string, bigint>
  readonly #taken = new Set<string>()

  constructor(context: VerifyContext, ends: ReadonlyMap<string, ChainEnd>) {
    this.#context = context
    this.#heads = new Map(
      [...ends.values()].map((end) => [
        segmentPrefix(end.topic, end.topic_id, end.partition),
        BigInt(end.next),
      ]),
    )
  }

  async admits({ folder, start }: DataKeyName): Promise<boolean> {
    if (this.#taken.has(folder) || start !== (await this.#headOf(folder, start))) return false
    this.#taken.add(folder)
    return true
  }

  /** Follows what a live archiver has committed since the chain was walked. A chain without any head begins here. */
  async #headOf(folder: string, start: bigint): Promise<bigint> {
    let head = this.#heads.get(folder) ?? start
    while (head < start) {
      const manifest = await readManifest(this.#context, `${folder}${String(head).padStart(20, '0')}.note`)
      if (manifest === 'absent' || manifest === null) break
      head = BigInt(manifest.next)
    }
    this.#heads.set(folder, head)
    return head
  }
}
