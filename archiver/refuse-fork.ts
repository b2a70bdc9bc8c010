/**
 * Whether the log goes on from what the archive holds and has signed of it. Two histories under the same offsets are
 * never joined: the partition halts, and somebody has to look.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { HeartbeatPartition, RunningRoot } from '../core/archive/manifest.ts'
import { leafText } from '../core/archive/leaf.ts'
import { MerkleStack } from '../core/archive/merkle.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import { neverHeldRecord } from '../core/gap-reason.ts'
import type { LogBounds, ReadResult, TopicPartition } from '../core/ports/event-log.ts'
import type { ArchiverContext } from './archiver-context.ts'
import type { CommitRequest } from './commit-segment.ts'
import { entriesOf, readBatch } from './log-reader.ts'
import type { SegmentBuffer } from './segment-buffer.ts'

/** Hashed before the event loop gets a turn: about 1 ms. */
const LEAVES_PER_TURN = 100

/**
 * A log that lost its end (put back, or led by a replica that lagged) and has grown past the archive again holds other
 * records under offsets that are archived. Kafka tells where the time of the leader ended under which the last archived
 * record was written; and no second history has that record's time at its offset.
 */
export async function refuseOtherHistory(
  context: ArchiverContext,
  { at, head, bounds }: CommitRequest,
): Promise<void> {
  const epoch = head.manifest?.leader_epochs.at(-1)?.epoch
  const epochEnd = epoch === undefined ? null : await context.log.epochEnd(at, epoch)
  if (epochEnd !== null && epochEnd < head.next)
    throw new HooktrailError('ARCHIVE_FORK', {
      ...{ ...at, epoch, epochEnd: String(epochEnd) },
      archived: String(head.next),
    })
  if (head.next <= bounds.logStart) return
  const archivedMs = head.manifest?.max_timestamp_ms ?? null
  const last = { next: head.next, maxTimestampMs: archivedMs === null ? null : BigInt(archivedMs) }
  if (await isOtherRecord(context, at, last))
    throw new HooktrailError('ARCHIVE_FORK', { ...at, offset: String(head.next - 1n), archivedMs })
}

/** Whether the log has another record where the last one of `read` was. @throws LOG_OFFSET_OUT_OF_RANGE where it has none */
export async function isOtherRecord(
  context: ArchiverContext,
  at: TopicPartition,
  read: Pick<SegmentBuffer, 'next' | 'maxTimestampMs'>,
): Promise<boolean> {
  if (read.maxTimestampMs === null) return false
  const offset = read.next - 1n
  const request = { ...at, from: offset, recordsMax: 1, bytesMax: 1, waitMsMax: 0 }
  const [record] = (await context.log.read(request)).records
  return record?.offset === offset && record.timestampMs !== read.maxTimestampMs
}

/**
 * The records behind the newest signed head were signed, too, while their segment was open: the log must give the same
 * root, whatever became of them since. Where it no longer has them, or says that it removed some, it cannot tell.
 */
export async function refuseOtherTail(
  context: ArchiverContext,
  { at, signed, bounds }: { at: TopicPartition; signed: HeartbeatPartition | null; bounds: LogBounds },
): Promise<void> {
  const running = signed?.running ?? null
  if (signed === null || running === null || BigInt(signed.to) < bounds.logStart) return
  const root = await rootOfLog(context, { at, from: BigInt(signed.to), until: BigInt(running.next) })
  if (root === null || root === running.root) return
  throw new HooktrailError('ARCHIVE_FORK', { ...at, ...forkOf(signed, running), loggedRoot: root })
}

function forkOf({ to }: HeartbeatPartition, { next, root }: RunningRoot): Record<string, string> {
  return { from: to, next, signedRoot: root }
}

interface LogRange {
  readonly at: TopicPartition
  readonly from: bigint
  readonly until: bigint
}

/** @returns null where the log does not hold all records that it once held. @throws LOG_UNAVAILABLE */
async function rootOfLog(context: ArchiverContext, { at, from, until }: LogRange): Promise<string | null> {
  const stack = new MerkleStack()
  for (let next = from; next < until;) {
    const batch = await readBatch(context, at, next)
    if (batch.next === next) throw new HooktrailError('LOG_UNAVAILABLE', { ...at, offset: String(next) })
    if (!(await pushLeaves(stack, batch, { at, from, until }))) return null
    next = batch.next
  }
  return stack.root().toString('hex')
}

async function pushLeaves(stack: MerkleStack, batch: ReadResult, { at, until }: LogRange): Promise<boolean> {
  let untilTurn = LEAVES_PER_TURN
  for (const entry of entriesOf(batch)) {
    if ((entry.kind === 'gap' ? entry.gap.from : entry.record.offset) >= until) break
    if (entry.kind === 'record') stack.push(leafText(entry.record, at))
    else if (!neverHeldRecord(entry.gap.reason)) return false
    if (--untilTurn > 0) continue
    untilTurn = LEAVES_PER_TURN
    await nextTurn()
  }
  return true
}
