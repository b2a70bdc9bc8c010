/**
 * The chain of one partition: the bucket's manifests, each at the key that the one before names, are the only truth
 * about how far the archive has come. Every link is checked on the way: key, partition, start offset, previous hash.
 */
import { manifestKey, segmentPrefix } from '../core/archive/keys.ts'
import type { Manifest } from '../core/archive/manifest.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import type { TopicPartition } from '../core/ports/event-log.ts'
import type { ArchiverContext } from './archiver-context.ts'
import { readManifest, type StoredManifest } from './notes.ts'

export interface ChainHead {
  readonly next: bigint
  /** SHA-256 of the newest manifest's note, hex; null while the chain is empty. */
  readonly sha256: string | null
  /** Null while the chain is empty, or where only its hash is known. */
  readonly manifest: Manifest | null
}

export function headOf({ manifest, sha256 }: StoredManifest): ChainHead {
  return { next: BigInt(manifest.next), sha256, manifest }
}

/** Manifests behind `head`, in order, until a key is absent. @throws ARCHIVE_CHAIN_BROKEN */
export async function* followChain(
  context: ArchiverContext,
  at: TopicPartition,
  head: ChainHead,
): AsyncGenerator<StoredManifest, void, undefined> {
  for (let current = head; ;) {
    const found = await readManifest(context, manifestKey(at.topic, at.topicId, at.partition, current.next))
    if (found === null) return
    checkLink(at, current, found)
    yield found
    current = headOf(found)
  }
}

/** Start offset of the first manifest, or null while there is none. */
export async function firstStart(context: ArchiverContext, at: TopicPartition): Promise<bigint | null> {
  for await (const { key } of context.archive.list(segmentPrefix(at.topic, at.topicId, at.partition))) {
    return startOf(key)
  }
  return null
}

/** Newest manifest at or behind the start `from`, by listing from there. */
export async function newestManifest(
  context: ArchiverContext,
  at: TopicPartition,
  from: bigint,
): Promise<StoredManifest | null> {
  let newest = manifestKey(at.topic, at.topicId, at.partition, from)
  for await (const { key } of context.archive.list(
    segmentPrefix(at.topic, at.topicId, at.partition),
    newest,
  )) {
    newest = key
  }
  return readManifest(context, newest)
}

function checkLink(at: TopicPartition, head: ChainHead, { key, manifest }: StoredManifest): void {
  const fits =
    manifest.topic === at.topic &&
    manifest.topic_id === at.topicId &&
    manifest.partition === at.partition &&
    BigInt(manifest.first) === head.next &&
    manifest.previous === head.sha256
  if (!fits) {
    throw new HooktrailError('ARCHIVE_CHAIN_BROKEN', { key, reason: 'it does not follow the one before' })
  }
}

function startOf(key: string): bigint {
  const name = key.slice(key.lastIndexOf('/') + 1, -'.note'.length)
  if (!/^\d{20}$/.test(name))
    throw new HooktrailError('ARCHIVE_CHAIN_BROKEN', { key, reason: 'foreign name' })
  return BigInt(name)
}
