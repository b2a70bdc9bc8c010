/**
 * The chain of heartbeats n = 0, 1, 2 …: each names the one before, the manifests new since then, the tree over all
 * manifests and the table of partitions. Every one of these is made again here from the objects themselves.
 */
import { hash } from 'node:crypto'
import { isHooktrailError } from '../../error/hooktrail-error.ts'
import { manifestLeaf, parseHeartbeat, parseManifest } from '../documents.ts'
import { heartbeatKey, keyOfManifest } from '../keys.ts'
import { ANCHOR_BYTES_MAX } from '../anchor/anchor-keys.ts'
import type { Heartbeat, NamedObject } from '../manifest.ts'
import { edgeLength, MerkleStack } from '../merkle.ts'
import { NOTE_BYTES_MAX, openNote, readNoteUnverified, statedSigner } from '../signed-note.ts'
import { checkpointText, treeOfHeartbeat } from '../tree/tree-checkpoint.ts'
import { partitionName, PartitionTable } from './partition-table.ts'
import { attempt, openVerified, type VerifiedNote } from './read-note.ts'
import { RunningClaims } from './running-claims.ts'
import { TileCheck } from './tile-check.ts'
import type { VerifyContext } from './verify-context.ts'
import { verifyHeartbeatLock } from './verify-locks.ts'

/** Clocks of two machines may differ by this much before a time is called implausible. */
const CLOCK_SKEW_MS = 300_000

export interface WitnessRequest {
  readonly genesisSha256: string
  /** Called with every heartbeat that can be believed, in order. */
  readonly onHeartbeat: (note: VerifiedNote<Heartbeat>) => void
}

export interface Witness {
  readonly table: PartitionTable
  readonly last: VerifiedNote<Heartbeat> | null
  /** Bytes of all data objects named so far. */
  readonly dataBytes: bigint
  /** Empty unless rows are read. */
  readonly running: RunningClaims
}

export async function verifyHeartbeats(context: VerifyContext, request: WitnessRequest): Promise<Witness> {
  const pass = new HeartbeatPass(context, request)
  for await (const { key, lastModifiedMs } of context.store.list('heartbeats/')) {
    context.signal.throwIfAborted()
    await pass.step(key, lastModifiedMs)
  }
  pass.end()
  return pass
}

class HeartbeatPass implements Witness {
  readonly table = new PartitionTable()
  last: VerifiedNote<Heartbeat> | null = null
  dataBytes = 0n
  readonly running = new RunningClaims()
  readonly #context: VerifyContext
  readonly #request: WitnessRequest
  #next = 0n
  /** Null after a break: then the next heartbeat's own edge is where the tree goes on. */
  #tree: MerkleStack | null = new MerkleStack()
  /** Null after a break: then tiles are not compared any more. */
  #tiles: TileCheck | null
  #previous: string | null

  constructor(context: VerifyContext, request: WitnessRequest) {
    this.#context = context
    this.#tiles = new TileCheck(context)
    this.#request = request
    this.#previous = request.genesisSha256
  }

  async step(key: string, lastModifiedMs: number): Promise<void> {
    const { findings, store, counts, keyCheck } = this.#context
    const n = numberOf(key)
    if (n === null || n < this.#next) {
      findings.altered('foreign', key, 'no heartbeat has this name')
      return
    }
    if (n > this.#next) this.#missing(n)
    this.#next = n + 1n
    const bytes = await store.read(key, NOTE_BYTES_MAX)
    const note = bytes === null ? null : openVerified(this.#context, { key, parse: parseHeartbeat }, bytes)
    if (note === null) {
      if (bytes !== null) this.#seekKey(key, bytes)
      this.#break()
      return
    }
    counts.heartbeats += 1
    if (bytes !== null) keyCheck.heartbeat(key, note.document, bytes)
    await this.#verify(key, note)
    if (Date.parse(note.document.created_at) > lastModifiedMs + CLOCK_SKEW_MS) {
      findings.note('time-not-witnessed', key, 'the store dates it before its own time of signing')
    }
    this.#request.onHeartbeat(note)
  }

  end(): void {
    this.#tiles?.end()
  }

  #missing(until: bigint): void {
    const { findings } = this.#context
    const more = until - this.#next - 1n
    const text = more > 0n ? `it and ${String(more)} after it are missing` : 'it is missing'
    findings.altered('heartbeat-missing', heartbeatKey(this.#next), text)
    this.#break()
  }

  #break(): void {
    this.#previous = null
    this.#tree = null
    this.#tiles = null
    this.table.lose()
  }

  async #verify(key: string, note: VerifiedNote<Heartbeat>): Promise<void> {
    const { findings } = this.#context
    const { document, sha256 } = note
    this.#context.agreements.witness(this.#context, key, document)
    if (this.#context.level > 0) await verifyHeartbeatLock(this.#context, key, document)
    if (heartbeatKey(BigInt(document.n)) !== key) {
      findings.altered('heartbeat-chain', key, `it says that it is number ${document.n}`)
    }
    if (this.#previous !== null && document.previous !== this.#previous) {
      findings.altered(
        'heartbeat-chain',
        key,
        'it does not follow the one before it (or genesis) in this archive',
      )
    }
    if (this.last !== null && document.created_at < this.last.document.created_at) {
      findings.altered('heartbeat-chain', key, 'it is dated before the one that it follows')
    }
    for (const named of document.manifests) await this.#follow(key, named)
    for (const named of document.anchors) await this.#compareAnchor(key, named)
    this.#compareTree(key, document)
    this.#compareCheckpoint(key, note)
    const fault = this.table.apply(document)
    if (fault !== null) findings.altered('partition-table', key, fault)
    if (this.#context.level === 2) this.#takeRunning(key, document)
    this.#context.keyCheck.end(document)
    this.#previous = sha256
    this.last = note
  }

  #takeRunning(key: string, { n, partitions }: Heartbeat): void {
    for (const row of partitions) {
      if (row.running === null) continue
      if (!this.running.add(partitionName(row), row.to, row.running, BigInt(n)))
        this.#context.findings.note('running-unchecked', key, 'there are more running roots than are kept')
    }
  }

  #seekKey(key: string, bytes: Buffer): void {
    try {
      this.#context.keyCheck.missing(key, parseHeartbeat(readNoteUnverified(bytes)))
    } catch (error) {
      // What is wrong with it was said already.
      if (!isHooktrailError(error)) throw error
    }
  }

  /** One manifest that the heartbeat names. Its signature is checked with its segment. */
  async #follow(key: string, named: Heartbeat['manifests'][number]): Promise<void> {
    const { findings, store } = this.#context
    await this.#append(named.sha256)
    const bytes = await store.read(named.key, NOTE_BYTES_MAX)
    if (bytes === null) {
      findings.altered('manifest-missing', named.key, `it is missing; ${key} names it`)
      return
    }
    if (hash('sha256', bytes, 'hex') !== named.sha256) {
      findings.altered('manifest-altered', named.key, `it is not the one that ${key} names`)
      return
    }
    const signer = attempt(this.#context, named.key, () => statedSigner(bytes, this.#context.keys))
    this.#context.keyCheck.note(named.key, signer)
    const manifest = attempt(this.#context, named.key, () => parseManifest(readNoteUnverified(bytes)))
    if (manifest === null) return
    this.dataBytes += BigInt(manifest.data?.size ?? 0)
    const fault =
      keyOfManifest(manifest) === named.key
        ? this.table.advance(manifest, named.sha256)
        : 'it lies under another key'
    if (fault !== null) findings.altered('manifest-chain', named.key, fault)
  }

  async #compareAnchor(key: string, named: NamedObject): Promise<void> {
    const { findings, store } = this.#context
    const bytes = await store.read(named.key, ANCHOR_BYTES_MAX)
    if (bytes === null || hash('sha256', bytes, 'hex') !== named.sha256)
      findings.altered('anchor-forged', named.key, `it is not the one that ${key} names`)
  }

  async #append(sha256: string): Promise<void> {
    if (this.#tree === null) return
    const leaf = manifestLeaf(sha256)
    this.#tree.push(leaf)
    await this.#tiles?.push(leaf)
  }

  /** The tree as a note of its own, which authorities stamp and auditors keep. */
  #compareCheckpoint(key: string, { document, signer }: VerifiedNote<Heartbeat>): void {
    const signers = signer === null ? this.#context.keys : [signer]
    const { checkpoint } = document
    if (checkpoint === undefined) return
    const due = checkpointText(treeOfHeartbeat(document))
    const said = attempt(this.#context, key, () => openNote(Buffer.from(checkpoint), signers))
    if (said !== null && said.text !== due)
      this.#context.findings.altered('heartbeat-tree', key, 'its checkpoint is not of its tree')
  }

  #compareTree(key: string, document: Heartbeat): void {
    const { findings } = this.#context
    const size = BigInt(document.tree_size)
    if (this.#tree !== null) {
      const edge = this.#tree.edge().map((node) => node.toString('hex'))
      const same =
        this.#tree.size === size &&
        this.#tree.root().toString('hex') === document.tree_root &&
        edge.join() === document.tree_edge.join()
      if (!same)
        findings.altered('heartbeat-tree', key, 'its tree is not the tree over the manifests named so far')
    }
    this.#tree = treeOf(document)
    if (this.#tree?.root().toString('hex') !== document.tree_root) {
      findings.altered('heartbeat-tree', key, 'the edge of its tree does not give its root')
    }
  }
}

function treeOf({ tree_size, tree_edge }: Heartbeat): MerkleStack | null {
  const size = BigInt(tree_size)
  if (edgeLength(size) !== tree_edge.length) return null
  const edge = tree_edge.map((node) => Buffer.from(node, 'hex'))
  return MerkleStack.fromEdge(size, edge)
}

function numberOf(key: string): bigint | null {
  const [, digits] = /^heartbeats\/[0-9]{8}\/([0-9]{12})\.note$/.exec(key) ?? []
  if (digits === undefined) return null
  const n = BigInt(digits)
  return heartbeatKey(n) === key ? n : null
}
