/**
 * The log forgets only what is archived, covered by a signed heartbeat, older than log.retention and behind every
 * handler and the index (I11). Where one of these cannot be known nothing is cut: the log may be long, never short.
 */
import { isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { Topic, TopicPartition } from '../core/ports/event-log.ts'
import { INDEX_HANDLER, type JobStore, type Position } from '../core/ports/job-store.ts'
import { sourceOfTopic } from '../core/topics.ts'
import { partitionKey, type ArchiverContext } from './archiver-context.ts'
import type { HeartbeatChain } from './heartbeat-chain.ts'
import { partitionsOf } from './heartbeat-writer.ts'
import { messageOf } from '../core/error/message-of.ts'

export interface CutRequest {
  readonly topics: readonly Topic[]
  readonly chain: HeartbeatChain
  readonly topicPrefix: string
  readonly retentionMs: number
  /** By partitionKey: their log may hold another history than the archive. */
  readonly halted: ReadonlySet<string>
}

/** One pass over all partitions. @returns how many were cut further than before. */
export async function cutStep(context: ArchiverContext, request: CutRequest): Promise<number> {
  const { store } = context
  if (store === null) return 0
  let cut = 0
  for (const at of request.topics.flatMap(partitionsOf)) {
    try {
      if (await cutPartition(context, store, { ...request, at })) cut += 1
    } catch (error) {
      if (!isHooktrailError(error)) throw error
      context.logger.warn({ ...at, error: messageOf(error) }, 'the log is not cut now')
    }
  }
  return cut
}

async function cutPartition(
  context: ArchiverContext,
  store: JobStore,
  request: CutRequest & { readonly at: TopicPartition },
): Promise<boolean> {
  const { at, chain } = request
  const signed = chain.row(at)
  if (signed === null || signed.head === null || request.halted.has(partitionKey(at))) return false
  const needed =
    sourceOfTopic(request.topicPrefix, at.topic) !== null
      ? slowest(await store.positions(at.topicId, at.partition))
      : null
  if (needed === 'unknown') return false
  const expired = await context.log.offsetAt(at, BigInt(context.clock.now() - request.retentionMs))
  const bounds = [BigInt(signed.to), expired, ...(needed === null ? [] : [needed])]
  const before = bounds.reduce((least, offset) => (offset < least ? offset : least))
  const { logStart, highWatermark } = await context.log.bounds(at)
  // A log that ends before what was signed was put back: what it holds is not what is archived.
  if (before <= logStart || highWatermark < BigInt(signed.high_watermark)) return false
  await context.log.truncate(at, before)
  context.logger.info({ ...at, before: String(before) }, 'the log was cut')
  return true
}

/** Until the archive can be read back as log, what the slowest has not read stays. Without an index nobody has read. */
function slowest(positions: readonly Position[]): bigint | 'unknown' {
  if (!positions.some(({ handler }) => handler === INDEX_HANDLER)) return 'unknown'
  return positions.reduce((least, { next }) => (next < least ? next : least), positions[0]?.next ?? 0n)
}
