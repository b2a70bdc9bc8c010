/**
 * The end of a chain whose topic was deleted and created again, or put back to an older copy: what was put but not committed is adopted, and offsets
 * that were signed as written but never archived become a gap, so that the loss is stated and not silent.
 */
import type { HeartbeatPartition } from '../core/archive/manifest.ts'
import type { GapReason } from '../core/gap-reason.ts'
import type { ArchiverContext } from './archiver-context.ts'
import { adoptBeforeLoss, findHead } from './assign-partition.ts'
import { commitManifest, gapSegment } from './commit-segment.ts'

/** Repeating it is harmless: a closed chain ends at the signed high watermark. */
export async function closeChain(
  context: ArchiverContext,
  signed: HeartbeatPartition,
  reason: Extract<GapReason, 'topic-deleted' | 'log-travelled-back'> = 'topic-deleted',
): Promise<void> {
  const at = { topic: signed.topic, topicId: signed.topic_id, partition: signed.partition }
  const bounds = { logStart: BigInt(signed.log_start), highWatermark: BigInt(signed.high_watermark) }
  const found = await findHead(context, at, signed)
  const head = found ?? { next: bounds.logStart, sha256: null, manifest: null }
  if (head.next >= bounds.highWatermark) return
  const adopted = await adoptBeforeLoss(context, { at, head, bounds, logIsGone: true })
  if (adopted.next >= bounds.highWatermark) return
  context.logger.error(
    { ...at, reason, from: String(adopted.next), to: String(bounds.highWatermark - 1n) },
    'a topic ends before what was signed of it, deleted or put back to an older copy; the loss is signed',
  )
  context.metrics.count('archive_losses_total')
  const loss = gapSegment(adopted.next, bounds.highWatermark - 1n, reason)
  await commitManifest(context, { at, head: adopted, bounds }, loss)
}
