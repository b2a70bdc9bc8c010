/**
 * The state of all partitions as heartbeats tell it, one after the other. After a heartbeat that cannot be read the
 * table is incomplete until a full one comes; meanwhile only what is certain is compared.
 */
import { comparePartitions, partitionLeaf } from '../documents.ts'
import type { Heartbeat, HeartbeatPartition, Manifest } from '../manifest.ts'
import { merkleRoot } from '../merkle.ts'

type PartitionName = Pick<HeartbeatPartition, 'topic' | 'topic_id' | 'partition'>

export interface ChainHead {
  readonly next: string
  /** SHA-256 of the newest manifest's note. */
  readonly head: string
}

export interface ChainEnd extends ChainHead, PartitionName {}

export function partitionName({ topic, topic_id, partition }: PartitionName): string {
  return `${topic}/${topic_id}/${String(partition)}`
}

export class PartitionTable {
  readonly #rows = new Map<string, HeartbeatPartition>()
  readonly #heads = new Map<string, ChainHead>()
  #complete = true

  /** Forgets everything: what comes next is not connected with what was. */
  lose(): void {
    this.#rows.clear()
    this.#heads.clear()
    this.#complete = false
  }

  head(of: PartitionName): ChainHead | null {
    return this.#heads.get(partitionName(of)) ?? null
  }

  get heads(): ReadonlyMap<string, ChainHead> {
    return this.#heads
  }

  /** Appends to a chain. @returns what is wrong, or null */
  advance(manifest: Manifest, sha256: string): string | null {
    const name = partitionName(manifest)
    const before = this.#heads.get(name)
    this.#heads.set(name, { next: manifest.next, head: sha256 })
    if (before === undefined) {
      return this.#complete && manifest.previous !== null
        ? 'the first of its chain names one before it'
        : null
    }
    if (before.next !== manifest.first)
      return `it begins at ${manifest.first}, the one before ended at ${before.next}`
    return before.head === manifest.previous ? null : 'it names another manifest as the one before it'
  }

  /** Takes over a heartbeat's rows, after its manifests. @returns what is wrong, or null */
  apply(heartbeat: Heartbeat): string | null {
    const faults = heartbeat.partitions.map((row) => this.#applyRow(row))
    if (heartbeat.full) this.#complete = true
    const fault = faults.find((found) => found !== null) ?? null
    if (fault !== null || !this.#complete) return fault
    if (heartbeat.full && heartbeat.partitions.length !== this.#rows.size)
      return 'a full table lacks partitions'
    return this.#root() === heartbeat.partition_root ? null : 'the root over all partitions is another'
  }

  #applyRow(row: HeartbeatPartition): string | null {
    const name = partitionName(row)
    const before = this.#rows.get(name)
    const head = this.#heads.get(name)
    this.#rows.set(name, row)
    if (row.running !== null && !isWithin(row, BigInt(row.running.next)))
      return `${name} has a running root that does not end behind its head`
    if (head === undefined) {
      if (row.head !== null) this.#heads.set(name, { next: row.to, head: row.head })
      return this.#complete && row.head !== null ? `${name} has a head that no heartbeat listed` : null
    }
    if (head.head !== row.head || head.next !== row.to)
      return `${name} has another head than the manifests listed`
    return before !== undefined && before.to !== row.from
      ? `${name} does not begin where it ended before`
      : null
  }

  #root(): string {
    const rows = [...this.#rows.values()].toSorted(comparePartitions)
    return merkleRoot(rows.map(partitionLeaf)).toString('hex')
  }
}

/** Behind the head, and of what the log held. */
function isWithin({ to, high_watermark }: HeartbeatPartition, next: bigint): boolean {
  return next > BigInt(to) && next <= BigInt(high_watermark)
}
