/**
 * Where a partition's writer begins: behind the newest manifest of the chain, never behind a remembered position. Before
 * it may write, the chain must reach the head that the newest heartbeat signed, and the log must not end before it.
 */
import type { HeartbeatPartition } from '../core/archive/manifest.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import type { LogBounds, TopicPartition } from '../core/ports/event-log.ts'
import { adoptData, searchDataAt } from './adopt-data.ts'
import type { ArchiverContext } from './archiver-context.ts'
import { commitManifest, gapSegment, type CommitRequest } from './commit-segment.ts'
import { refuseOtherHistory, refuseOtherTail } from './refuse-fork.ts'
import { firstStart, followChain, headOf, newestManifest, type ChainHead } from './manifest-chain.ts'

/** Newest head, checked against what the newest heartbeat signed; the log is not asked. @throws ARCHIVE_CHAIN_BEHIND */
export async function findHead(
  context: ArchiverContext,
  at: TopicPartition,
  signed: HeartbeatPartition | null,
): Promise<ChainHead | null> {
  if (signed === null) return headFromStart(context, at, await firstStart(context, at))
  const signedTo = BigInt(signed.to)
  if (signed.head === null) return headFromStart(context, at, signedTo)
  const start = await signedHead(context, at, signed)
  let newest = start
  for await (const stored of followChain(context, at, start)) newest = headOf(stored)
  return newest
}

async function headFromStart(
  context: ArchiverContext,
  at: TopicPartition,
  start: bigint | null,
): Promise<ChainHead | null> {
  if (start === null) return null
  let newest: ChainHead = { next: start, sha256: null, manifest: null }
  for await (const stored of followChain(context, at, newest)) newest = headOf(stored)
  return newest
}

/**
 * The manifest that the heartbeat signed as head. Where the heartbeat moved the head, the listing begins at its `from`;
 * a partition that rests has to be listed from its beginning.
 */
async function signedHead(
  context: ArchiverContext,
  at: TopicPartition,
  signed: HeartbeatPartition,
): Promise<ChainHead> {
  const to = BigInt(signed.to)
  const from = BigInt(signed.from) < to ? BigInt(signed.from) : ((await firstStart(context, at)) ?? to)
  const newest = await newestManifest(context, at, from)
  if (newest !== null && newest.sha256 === signed.head) return headOf(newest)
  if (newest === null || BigInt(newest.manifest.next) <= to) throw behind(at, signed)
  return { next: to, sha256: signed.head, manifest: null }
}

/**
 * Makes the head fit the log: begins a chain, refuses a fork, adopts what was put but not committed, and signs what the
 * log no longer holds. In that order, so that no loss is signed that lies in the store.
 */
export async function fitToLog(
  context: ArchiverContext,
  request: {
    readonly at: TopicPartition
    readonly head: ChainHead | null
    readonly signed: HeartbeatPartition | null
    readonly bounds: LogBounds
  },
): Promise<ChainHead> {
  const { at, signed, bounds } = request
  const head = request.head ?? { next: bounds.logStart, sha256: null, manifest: null }
  const signedEnd = signed === null ? 0n : BigInt(signed.high_watermark)
  if (bounds.highWatermark < head.next || bounds.highWatermark < signedEnd) {
    throw new HooktrailError('ARCHIVE_FORK', {
      ...at,
      highWatermark: String(bounds.highWatermark),
      archived: String(head.next),
      signed: String(signedEnd),
    })
  }
  await refuseOtherHistory(context, { at, head, bounds })
  await refuseOtherTail(context, { at, signed, bounds })
  if (bounds.logStart <= head.next) return head
  const adopted = await adoptBeforeLoss(context, { at, head, bounds })
  if (adopted.next >= bounds.logStart) return adopted
  context.logger.error(
    { ...at, from: String(adopted.next), to: String(bounds.logStart - 1n) },
    'the log lost events before they were archived; the loss is signed',
  )
  context.metrics.count('archive_losses_total')
  const loss = gapSegment(adopted.next, bounds.logStart - 1n, 'retention-loss')
  return commitManifest(context, { at, head: adopted, bounds }, loss)
}

export async function adoptBeforeLoss(
  context: ArchiverContext,
  request: CommitRequest & { readonly logIsGone?: boolean },
): Promise<ChainHead> {
  const { at, head, logIsGone = false } = request
  const key = await searchDataAt(context, { at, start: head.next, after: head.manifest?.data?.key ?? null })
  if (key === null) return head
  const segment = await adoptData(context, { at, first: head.next, key, logIsGone })
  return commitManifest(context, request, segment)
}

function behind(at: TopicPartition, signed: HeartbeatPartition): HooktrailError {
  return new HooktrailError('ARCHIVE_CHAIN_BEHIND', { ...at, signed: signed.to })
}
