/**
 * What the archive holds of every partition, followed manifest by manifest. A manifest never changes, so each is read
 * once by a process; what follows the last one is read again each time. Signatures are not checked here: that is
 * `archive verify`. Memory is bounded by the number of partitions that there ever were, not by segments.
 */
import { parseManifest } from '../core/archive/documents.ts'
import { isManifestKey } from '../core/archive/keys.ts'
import { MANIFEST_BYTES_MAX, type Manifest } from '../core/archive/manifest.ts'
import { readNoteUnverified } from '../core/archive/signed-note.ts'
import { isLoss, type GapReason } from '../core/gap-reason.ts'
import type { ArchiveStore } from '../core/ports/archive-store.ts'

/** Sorts behind every offset: where the next partition's manifests begin. */
const BEYOND = '~'
const LOSSES_MAX = 100

export interface ArchiveLoss {
  readonly topic: string
  readonly partition: number
  readonly from: string
  readonly to: string
  readonly reason: GapReason
}

export interface ArchiveChain {
  readonly topic: string
  readonly topicId: string
  readonly partition: number
  readonly first: bigint
  /** First offset that is not archived. */
  next: bigint
  records: bigint
  /** What is missing between two manifests, in words; null while they are contiguous. */
  hole: string | null
}

export class ArchiveChains {
  readonly #chains = new Map<string, { chain: ArchiveChain; lastKey: string }>()
  readonly #losses: ArchiveLoss[] = []

  /** At most 100. */
  get losses(): readonly ArchiveLoss[] {
    return this.#losses
  }

  /** @throws ARCHIVE_STORE_UNAVAILABLE, ARCHIVE_NOTE_INVALID, ARCHIVE_DOCUMENT_INVALID */
  async follow(store: ArchiveStore): Promise<readonly ArchiveChain[]> {
    for (const prefix of this.#chains.keys()) await this.#followChain(store, prefix)
    for await (const prefix of newPrefixes(store, this.#chains)) await this.#followChain(store, prefix)
    return [...this.#chains.values()].map(({ chain }) => ({ ...chain }))
  }

  async #followChain(store: ArchiveStore, prefix: string): Promise<void> {
    for await (const { key } of store.list(prefix, this.#chains.get(prefix)?.lastKey)) {
      if (!isManifestKey(key)) continue
      const bytes = await store.read(key, MANIFEST_BYTES_MAX)
      if (bytes !== null) this.#add(prefix, key, parseManifest(readNoteUnverified(bytes)))
    }
  }

  #add(prefix: string, key: string, manifest: Manifest): void {
    const { topic, topic_id: topicId, partition } = manifest
    const first = BigInt(manifest.first)
    const known = this.#chains.get(prefix)
    const chain = known?.chain ?? { topic, topicId, partition, first, next: first, records: 0n, hole: null }
    if (chain.next !== first)
      chain.hole ??= `no manifest covers the offsets from ${chain.next} to ${first - 1n}`
    chain.next = BigInt(manifest.next)
    chain.records += BigInt(manifest.records)
    this.#chains.set(prefix, { chain, lastKey: key })
    const gaps = manifest.gaps.filter(({ reason }) => isLoss(reason))
    for (const gap of gaps)
      if (this.#losses.length < LOSSES_MAX) this.#losses.push({ topic, partition, ...gap })
  }
}

/** Jumps from partition to partition: one listing a partition, however many segments it has. */
async function* newPrefixes(
  store: ArchiveStore,
  known: ReadonlyMap<string, unknown>,
): AsyncGenerator<string> {
  let after = ''
  for (;;) {
    const key = await firstKey(store, after)
    if (key === null) return
    const prefix = key.slice(0, key.lastIndexOf('/') + 1)
    if (isManifestKey(key) && !known.has(prefix)) yield prefix
    after = prefix + BEYOND
  }
}

async function firstKey(store: ArchiveStore, after: string): Promise<string | null> {
  for await (const { key } of store.list('segments/', after)) return key
  return null
}
