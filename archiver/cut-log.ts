/**
 * The log forgets only what is archived and still there, covered by a signed heartbeat and older than log.retention (I11).
 * Nobody else is asked: who has not read it yet reads it in the archive (core/archive/range). Where one of these cannot be known nothing
 * is cut: the log may be long, never short.
 */
import { isHooktrailError } from '../core/error/hooktrail-error.ts'
import { messageOf } from '../core/error/message-of.ts'
import type { Topic, TopicPartition } from '../core/ports/event-log.ts'
import { partitionKey, type ArchiverContext } from './archiver-context.ts'
import type { HeartbeatChain } from './heartbeat-chain.ts'
import { partitionsOf } from './heartbeat-writer.ts'
import type { KeptSegments } from './kept-segments.ts'

export interface CutRequest {
  readonly topics: readonly Topic[]
  readonly chain: HeartbeatChain
  readonly retentionMs: number
  /** By partitionKey: their log may hold another history than the archive. */
  readonly halted: ReadonlySet<string>
  readonly kept: KeptSegments
}

/** One pass over all partitions. @returns how many were cut further than before. */
export async function cutStep(context: ArchiverContext, request: CutRequest): Promise<number> {
  let cut = 0
  for (const at of request.topics.flatMap(partitionsOf)) {
    try {
      if (await cutPartition(context, request, at)) cut += 1
    } catch (error) {
      if (!isHooktrailError(error)) throw error
      context.logger.warn({ ...at, error: messageOf(error) }, 'the log is not cut now')
    }
  }
  return cut
}

async function cutPartition(
  context: ArchiverContext,
  { chain, retentionMs, halted, kept }: CutRequest,
  at: TopicPartition,
): Promise<boolean> {
  const { log, clock, logger } = context
  const signed = chain.row(at)
  if (signed === null || signed.head === null || halted.has(partitionKey(at))) return false
  const archived = BigInt(signed.to)
  const expired = await log.offsetAt(at, BigInt(clock.now() - retentionMs))
  const wanted = archived < expired ? archived : expired
  const { logStart, highWatermark } = await log.bounds(at)
  // A log that ends before what was signed was put back: what it holds is not what is archived.
  if (wanted <= logStart || highWatermark < BigInt(signed.high_watermark)) return false
  const before = await kept.endOf(context, at, { from: logStart, before: wanted })
  if (before <= logStart) return false
  await log.truncate(at, before)
  logger.info({ ...at, before: String(before) }, 'the log was cut')
  return true
}
