/**
 * The chain of heartbeats as this process has read it: newest note, the whole partition table, the right edge of the
 * tree over all manifests. Everything comes from the store and is checked while it is read, so any archiver can write
 * the next heartbeat, and none signs on an older view than the store holds.
 */
import { manifestLeaf, parseHeartbeat, partitionLeaf, comparePartitions } from '../core/archive/documents.ts'
import { heartbeatKey } from '../core/archive/keys.ts'
import type { Heartbeat, HeartbeatPartition } from '../core/archive/manifest.ts'
import { merkleRoot, MerkleStack } from '../core/archive/merkle.ts'
import { firstAbsent } from '../core/archive/tree/heartbeat-search.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import type { TopicPartition } from '../core/ports/event-log.ts'
import { partitionKey, type ArchiverContext } from './archiver-context.ts'
import { readNote } from './notes.ts'
import { messageOf } from '../core/error/message-of.ts'

/** Every so many heartbeats the whole table is written, so that reading back ends. */
export const FULL_EVERY = 60n

export interface StoredHeartbeat {
  readonly n: bigint
  readonly sha256: string
  readonly heartbeat: Heartbeat
}

export class HeartbeatChain {
  readonly #context: ArchiverContext
  readonly #genesisSha256: string
  readonly #table = new Map<string, HeartbeatPartition>()
  #tree = new MerkleStack()
  #newest: StoredHeartbeat | null = null
  /** Several loops ask; one reads. */
  #catchingUp: Promise<number> | null = null

  constructor(context: ArchiverContext, genesisSha256: string) {
    this.#context = context
    this.#genesisSha256 = genesisSha256
  }

  get newest(): StoredHeartbeat | null {
    return this.#newest
  }
  get nextN(): bigint {
    return this.#newest === null ? 0n : this.#newest.n + 1n
  }
  get previousSha256(): string {
    return this.#newest?.sha256 ?? this.#genesisSha256
  }

  /** Rows of the table in the order of heartbeats. */
  partitions(): readonly HeartbeatPartition[] {
    return [...this.#table.values()].sort(comparePartitions)
  }

  row(at: TopicPartition): HeartbeatPartition | null {
    return this.#table.get(partitionKey(at)) ?? null
  }

  /** A copy of the tree, to be continued by a heartbeat that is not written yet. */
  tree(): MerkleStack {
    return MerkleStack.fromEdge(this.#tree.size, this.#tree.edge())
  }

  /** Reads what other archivers wrote. @returns how many heartbeats were new. @throws ARCHIVE_CHAIN_BROKEN */
  catchUp(): Promise<number> {
    this.#catchingUp ??= this.#readBehind().finally(() => {
      this.#catchingUp = null
    })
    return this.#catchingUp
  }

  async #readBehind(): Promise<number> {
    let count = 0
    if (this.#newest === null) {
      await refuseRollback(this.#context)
      count += await this.#load()
    }
    for (;;) {
      const stored = await readHeartbeat(this.#context, this.nextN)
      if (stored === null) return count
      this.apply(stored)
      count += 1
    }
  }

  /** Takes one heartbeat over, once: the link, the tree and the table must come out as it says. */
  apply(stored: StoredHeartbeat): void {
    const { heartbeat, n } = stored
    if (n < this.nextN) return
    if (n !== this.nextN || heartbeat.previous !== this.previousSha256)
      throw broken(n, 'it does not follow the one before')
    const tree = this.tree()
    for (const { sha256 } of heartbeat.manifests) tree.push(manifestLeaf(sha256))
    const table = new Map(this.#table)
    for (const row of heartbeat.partitions) table.set(rowKey(row), row)
    checkState(stored, tree, table)
    this.#tree = tree
    for (const row of heartbeat.partitions) this.#table.set(rowKey(row), row)
    this.#newest = stored
    this.#context.keys.see(heartbeat.created_at)
  }

  /** At start: the newest one, and those before it back to a full table. */
  async #load(): Promise<number> {
    const newestN = await findNewest(this.#context)
    if (newestN === null) return 0
    const back: StoredHeartbeat[] = []
    for (let n = newestN; ; n--) {
      const stored = await readHeartbeat(this.#context, n)
      if (stored === null) throw broken(n, 'it is missing')
      const after = back.at(-1)
      if (after !== undefined && after.heartbeat.previous !== stored.sha256)
        throw broken(n, 'it was replaced')
      back.push(stored)
      if (stored.heartbeat.full) break
      if (n === 0n) throw broken(n, 'the first one has no full table')
    }
    for (const { heartbeat } of back.toReversed()) {
      for (const row of heartbeat.partitions) this.#table.set(rowKey(row), row)
    }
    const [newest] = back
    if (newest === undefined) return 0
    this.#tree = treeOf(newest)
    checkState(newest, this.#tree, this.#table)
    this.#newest = newest
    this.#context.keys.see(newest.heartbeat.created_at)
    return back.length
  }
}

/**
 * An archive that lacks what the job store saw signed was rolled back or replaced: going on would sign another history
 * under the same numbers. Best effort, as archiving needs no job store: one that is down is not asked.
 */
async function refuseRollback(context: ArchiverContext): Promise<void> {
  const remembered = await context.store?.rememberedHeartbeat().catch((error: unknown) => {
    context.logger.warn(
      { error: messageOf(error) },
      'the job store cannot say which heartbeat was the newest',
    )
  })
  if (remembered === undefined || remembered === null) return
  const stored = await readHeartbeat(context, remembered.n)
  if (stored?.sha256 !== remembered.sha256)
    throw broken(remembered.n, 'it was signed and is not there: the archive was rolled back or replaced')
}

export async function readHeartbeat(context: ArchiverContext, n: bigint): Promise<StoredHeartbeat | null> {
  const note = await readNote(context, heartbeatKey(n))
  if (note === null) return null
  const heartbeat = parseHeartbeat(note.text)
  if (heartbeat.archive_id !== context.archiveId || BigInt(heartbeat.n) !== n) {
    throw broken(n, 'it belongs to another archive or number')
  }
  return { n, sha256: note.sha256, heartbeat }
}

/** Root over the partition table, rows in the order of heartbeats. */
export function partitionRoot(rows: Iterable<HeartbeatPartition>): string {
  const leaves = [...rows].sort(comparePartitions).map(partitionLeaf)
  return merkleRoot(leaves).toString('hex')
}

async function findNewest(context: ArchiverContext): Promise<bigint | null> {
  const absent = await firstAbsent(async (n) => (await context.archive.head(heartbeatKey(n))) !== null)
  return absent === 0n ? null : absent - 1n
}

function treeOf({ n, heartbeat }: StoredHeartbeat): MerkleStack {
  try {
    return MerkleStack.fromEdge(
      BigInt(heartbeat.tree_size),
      heartbeat.tree_edge.map((hex) => Buffer.from(hex, 'hex')),
    )
  } catch (error) {
    throw broken(n, 'its tree edge does not fit its tree size', error)
  }
}

function checkState(
  { n, heartbeat }: StoredHeartbeat,
  tree: MerkleStack,
  table: ReadonlyMap<string, HeartbeatPartition>,
): void {
  if (String(tree.size) !== heartbeat.tree_size || tree.root().toString('hex') !== heartbeat.tree_root) {
    throw broken(n, 'its tree does not continue the one before')
  }
  if (partitionRoot(table.values()) !== heartbeat.partition_root)
    throw broken(n, 'its table has another root')
}

/** As partitionKey. */
export function rowKey({ topic, topic_id: topicId, partition }: HeartbeatPartition): string {
  return partitionKey({ topic, topicId, partition })
}

function broken(n: bigint, reason: string, cause?: unknown): HooktrailError {
  return new HooktrailError('ARCHIVE_CHAIN_BROKEN', { key: heartbeatKey(n), reason }, cause)
}
