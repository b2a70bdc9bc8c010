/**
 * What a replay of a range would deliver to a handler that wants all of it, as the lines of an export: in order of
 * partition and offset, without duplicates, from log and archive as one, in bounded memory. Nothing is planned. What the
 * archive declares lost is missing, and the last line then says how much.
 */
import type { SourceConfig } from '../core/config/config.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import { cutRead } from '../core/plan/cut-read.ts'
import { planBatch } from '../core/plan/plan-batch.ts'
import type { PlanHandler } from '../core/plan/plan-handler.ts'
import type { EventLog, ReadResult, Topic, TopicPartition } from '../core/ports/event-log.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import type { Verdict } from '../core/ports/plan-store.ts'
import type { ReplayRange } from '../core/ports/replay-store.ts'
import { exportLine } from './export-lines.ts'

const READ_RECORDS_MAX = 500
const READ_BYTES_MAX = 4 * 1024 * 1024
/** For a segment of the archive to come; what the log holds comes at once. */
const WAIT_MS_MAX = 20_000
const FIRST: Verdict = { kind: 'first' }

export interface ReplayRecords {
  readonly log: Pick<EventLog, 'read'>
  readonly store: Pick<JobStore, 'rememberedVerdicts'>
  readonly bodyDigest: (body: Buffer) => Buffer
  readonly topic: Topic
  readonly source: SourceConfig
  readonly ranges: readonly ReplayRange[]
  /** What is chosen of them. */
  readonly choice: PlanHandler
}

/** Each string holds whole lines. */
export async function* replayLines(asked: ReplayRecords): AsyncGenerator<string> {
  let missing = 0
  for (const { topicId, partition, first, end } of asked.ranges)
    for (let from = first; from < end;) {
      const at = { topic: asked.topic.name, topicId, partition }
      const read = cutRead(await readFrom(asked, at, { from, end }), end)
      const { lines, lost } = await chosenLines(asked, at, { first: from, ...read })
      if (lines !== '') yield lines
      missing += lost
      from = read.next
    }
  if (missing > 0) yield `${JSON.stringify({ code: 'API_PAYLOAD_GONE', missing })}\n`
}

async function readFrom(
  { log }: ReplayRecords,
  at: TopicPartition,
  { from, end }: { readonly from: bigint; readonly end: bigint },
): Promise<ReadResult> {
  const left = end - from
  const recordsMax = left < BigInt(READ_RECORDS_MAX) ? Number(left) : READ_RECORDS_MAX
  const read = await log.read({ ...at, from, recordsMax, bytesMax: READ_BYTES_MAX, waitMsMax: WAIT_MS_MAX })
  if (read.next > from) return read
  throw new HooktrailError('ARCHIVE_STORE_UNAVAILABLE', { reason: `nothing came within ${WAIT_MS_MAX} ms` })
}

async function chosenLines(
  { store, source, bodyDigest, choice }: ReplayRecords,
  at: TopicPartition,
  batch: ReadResult & { readonly first: bigint },
): Promise<{ readonly lines: string; readonly lost: number }> {
  const planning = { eventTtlMs: null, nowMs: 0, quarantined: false, bodyDigest }
  const plan = planBatch({ ...batch, ...planning, at, handlers: [choice], dedup: source.dedup })
  const handlers = [choice.name]
  const step = { ...at, first: batch.first, next: batch.next, generation: '', handlers, claims: plan.claims }
  const remembered = await store.rememberedVerdicts(step)
  const verdicts = new Map(
    plan.claims.map(({ offset }) => [offset, remembered.get(offset) ?? FIRST] as const),
  )
  const { jobs, steps } = plan.decide({ handlers: new Set(handlers), verdicts })
  const chosen = new Set(jobs.map(({ offset }) => offset))
  const lines = plan.events
    .filter(({ offset }) => chosen.has(offset))
    .map(({ event: { id, source: name, type, receivedAtMs, dedupKey, body } }) =>
      exportLine({ eventId: id, source: name, type, createdAtMs: receivedAtMs, uniqueKey: dedupKey }, body),
    )
  return { lines: lines.join(''), lost: steps.reduce((sum, { counts }) => sum + counts.lost, 0) }
}
