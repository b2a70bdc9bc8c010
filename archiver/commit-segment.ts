/**
 * The two writes of a segment. The data object first: after a crash here it is adopted. Then the manifest at the key
 * that the chain expects: that create is the commit, whoever wins it. Neither write is ever repeated over another.
 */
import assert from 'node:assert/strict'
import { codecOf } from '../core/archive/format/segment-codec.ts'
import { EMPTY_ROOT } from '../core/archive/merkle.ts'
import { manifestFault } from '../core/archive/documents.ts'
import { manifestKey } from '../core/archive/keys.ts'
import { FORMAT_VERSION, type Manifest } from '../core/archive/manifest.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import type { LogBounds, TopicPartition } from '../core/ports/event-log.ts'
import { isoTime, type ArchiverContext } from './archiver-context.ts'
import { adoptData } from './adopt-data.ts'
import { createObject } from './create-object.ts'
import { followChain, headOf, type ChainHead } from './manifest-chain.ts'
import { createNote, readManifest } from './notes.ts'
import type { SealedSegment, Segment } from './segment.ts'

/** Name of the row's columns (docs/formats.md). */
const ROW_SCHEMA = 'hooktrail.row.1'

export interface CommitRequest {
  readonly at: TopicPartition
  readonly head: ChainHead
  readonly bounds: LogBounds
}

/** Puts the data unless there is none. @returns the segment as it now lies in the store: ours, or the adopted one. */
export async function putData(
  context: ArchiverContext,
  { at }: CommitRequest,
  sealed: SealedSegment,
): Promise<Segment> {
  if (sealed.data === null || sealed.body === null) return sealed
  const { key, sha256, format } = sealed.data
  const outcome = await createObject(context, {
    key,
    body: sealed.body,
    sha256,
    contentType: codecOf(format).contentType,
    isHeld: await isHeld(context, at, sealed),
  })
  switch (outcome) {
    case 'created':
      context.metrics.count('archive_bytes_total', {}, sealed.data.size)
      return sealed
    case 'exists':
      return adoptData(context, { at, first: sealed.first, key })
  }
  outcome satisfies never
}

/**
 * Where a manifest without data was signed for this start meanwhile, as for a loss, the segment comes too late: its data
 * would lie beside a manifest that does not name it. @returns the head to go on from, or null
 */
export async function supersededBy(
  context: ArchiverContext,
  { at, head }: CommitRequest,
): Promise<ChainHead | null> {
  const found = await readManifest(context, manifestKey(at.topic, at.topicId, at.partition, head.next))
  return found?.manifest.data === null ? newestBehind(context, at, head) : null
}

/** Creates the manifest, or takes over what another archiver committed at this start. @returns the new head. */
export async function commitManifest(
  context: ArchiverContext,
  request: CommitRequest,
  segment: Segment,
): Promise<ChainHead> {
  const { at, head } = request
  // The data lies there, whoever put it: lock and hold are shown before anything is signed about them.
  const held = await isHeld(context, at, segment)
  const proven = await prove(context, { at, segment, isHeld: held })
  const manifest = manifestOf(context, request, { ...segment, ...proven })
  assert.equal(manifestFault(manifest), null, 'the manifest agrees with itself')
  const key = manifestKey(at.topic, at.topicId, at.partition, segment.first)
  const { outcome, sha256 } = await createNote(context, key, manifest, held)
  switch (outcome) {
    case 'created':
      context.metrics.count('archive_segments_total')
      return { next: BigInt(manifest.next), sha256, manifest }
    case 'exists':
      await compareManifest(context, key, manifest)
      return newestBehind(context, at, head)
  }
  outcome satisfies never
}

/** Holds are read before each write, since one may have begun since the last. */
async function isHeld(
  { protection }: ArchiverContext,
  { topic, topicId, partition }: TopicPartition,
  { first, last }: Pick<Segment, 'first' | 'last'>,
): Promise<boolean> {
  const covered = { topic, topic_id: topicId, partition, first: String(first), last: String(last) }
  return (await protection?.heldNow(covered)) ?? false
}

interface ProvenLock {
  readonly retention: Manifest['retention']
  readonly versionId: string | null
}

async function prove(
  { protection, archive }: ArchiverContext,
  { at, segment, isHeld: held }: { at: TopicPartition; segment: Segment; isHeld: boolean },
): Promise<ProvenLock> {
  const { data } = segment
  const asWritten = { retention: null, versionId: data?.versionId ?? null }
  if (protection?.isLocking !== true) return asWritten
  if (data === null) return { ...asWritten, retention: protection.promise(at.topic) }
  const head = await archive.head(data.key)
  if (head === null) throw new HooktrailError('ARCHIVE_STORE_UNAVAILABLE', { key: data.key })
  return { retention: await protection.prove(head, held), versionId: head.versionId }
}

/** A range without records: a signed statement why they are missing. */
export function gapSegment(first: bigint, last: bigint, reason: Manifest['gaps'][number]['reason']): Segment {
  return {
    first,
    last,
    records: 0,
    rawBytes: 0n,
    gaps: [{ from: String(first), to: String(last), reason }],
    minTimestampMs: null,
    maxTimestampMs: null,
    merkleRoot: EMPTY_ROOT.toString('hex'),
    leaderEpochs: [],
    data: null,
    adopted: false,
  }
}

function manifestOf(
  context: ArchiverContext,
  { at, head, bounds }: CommitRequest,
  segment: Segment & ProvenLock,
): Manifest {
  assert.equal(segment.first, head.next, 'a segment begins where the chain ends')
  const { data } = segment
  return {
    kind: 'segment',
    format_version: FORMAT_VERSION,
    archive_id: context.archiveId,
    topic: at.topic,
    topic_id: at.topicId,
    partition: at.partition,
    first: String(segment.first),
    last: String(segment.last),
    next: String(segment.last + 1n),
    genesis: head.sha256 === null && segment.first > 0n,
    records: segment.records,
    raw_bytes: String(segment.rawBytes),
    gaps: segment.gaps,
    min_timestamp_ms: segment.minTimestampMs === null ? null : String(segment.minTimestampMs),
    max_timestamp_ms: segment.maxTimestampMs === null ? null : String(segment.maxTimestampMs),
    data:
      data === null
        ? null
        : {
            key: data.key,
            version_id: segment.versionId,
            size: data.size,
            sha256: data.sha256.toString('hex'),
            format: data.format,
            schema: ROW_SCHEMA,
          },
    merkle_root: segment.merkleRoot,
    leaves: segment.records,
    previous: head.sha256,
    leader_epochs: segment.leaderEpochs.map(({ epoch, start }) => ({ epoch, start: String(start) })),
    log_start: String(bounds.logStart),
    high_watermark: String(bounds.highWatermark),
    retention: segment.retention,
    encryption: null,
    ...nextFormat(context),
    writer: context.instance,
    created_at: isoTime(context.clock.now()),
    adopted: segment.adopted,
  }
}

/** A setting that was changed takes effect through the chain, so behind this very manifest. */
function nextFormat({ settings, genesisFormat }: ArchiverContext): Pick<Manifest, 'format'> {
  return settings.format === genesisFormat ? {} : { format: { next: settings.format } }
}

/** Theirs may end elsewhere; what both say about one data object, or about one range, must agree. */
async function compareManifest(context: ArchiverContext, key: string, ours: Manifest): Promise<void> {
  const found = await readManifest(context, key)
  if (found === null) throw new HooktrailError('ARCHIVE_STORE_UNAVAILABLE', { key })
  const theirs = found.manifest
  const differs =
    (theirs.data !== null &&
      ours.data !== null &&
      theirs.data.key === ours.data.key &&
      theirs.data.sha256 !== ours.data.sha256) ||
    (theirs.last === ours.last && theirs.merkle_root !== ours.merkle_root)
  if (differs) throw new HooktrailError('ARCHIVE_DIFFERS', { key })
}

async function newestBehind(
  context: ArchiverContext,
  at: TopicPartition,
  head: ChainHead,
): Promise<ChainHead> {
  let newest = head
  for await (const stored of followChain(context, at, head)) newest = headOf(stored)
  return newest
}
