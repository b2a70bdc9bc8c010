/** The report as the API answers it: one row a source, one a source and handler, one a partition. Pure. */
import { INDEX_HANDLER } from '../core/ports/plan-store.ts'
import type { JobSums, StepSums } from '../core/ports/report-store.ts'
import type { Report } from './report.ts'
import { isoOf } from './views.ts'

const NO_STEPS = { filtered: 0, duplicate: 0, expired: 0, lost: 0 }
const NO_JOBS = { planned: 0, errors: 0, delivered: 0, dead: 0, discarded: 0, open: 0, waiting: 0 }

export function reportJson(report: Report) {
  return {
    verdict: report.verdict,
    compared_from: isoOf(report.comparedFromMs),
    archive_read: report.archiveRead,
    sources: sourceRows(report),
    handlers: handlerRows(report),
    partitions: report.partitions.map((row) => ({
      topic: row.topic,
      partition: row.partition,
      log_start: String(row.logStart),
      log_end: String(row.highWatermark),
      indexed_to: textOf(row.indexed),
      archived_to: textOf(row.archivedTo),
    })),
    losses: report.losses,
    disagreeing: report.disagreeing.map(({ eventId, place, reason }) => ({
      event_id: eventId,
      place,
      reason,
    })),
  }
}

function sourceRows({ sources, rejected, repeated, steps, partitions, archived, archiveRead }: Report) {
  const names = new Set([...sources, ...rejected, ...repeated].map(({ source }) => source))
  return [...names].sort().map((source) => {
    const sums = sources.find((row) => row.source === source)
    const ofSource = ({ topic }: { readonly topic: string }): boolean => topic.endsWith(`.events.${source}`)
    const reasons = rejected.filter((row) => row.source === source)
    const unindexed = partitions
      .filter(ofSource)
      .map((row) => row.highWatermark - (row.indexed ?? row.logStart))
    return {
      source,
      received: sums?.received ?? 0,
      rejected: Object.fromEntries(reasons.map((row) => [row.reason, row.rejected])),
      repeated: repeated.find((row) => row.source === source)?.repeated ?? 0,
      duplicate: sums?.duplicate ?? 0,
      conflict: sums?.conflict ?? 0,
      lost: steps.find((row) => row.handler === INDEX_HANDLER && row.source === source)?.lost ?? 0,
      unindexed: Number(unindexed.reduce((sum, count) => sum + count, 0n)),
      archived: archiveRead ? Number(archived.find(ofSource)?.records ?? 0n) : null,
    }
  })
}

function handlerRows({ steps, jobs }: Report) {
  const known = new Map<string, { steps?: StepSums; jobs?: JobSums }>()
  const keyOf = ({ source, handler }: StepSums | JobSums): string => JSON.stringify([source, handler])
  for (const row of steps) if (row.handler !== INDEX_HANDLER) known.set(keyOf(row), { steps: row })
  for (const row of jobs) known.set(keyOf(row), { ...known.get(keyOf(row)), jobs: row })
  return [...known.keys()].sort().flatMap((key) => {
    const { steps: step, jobs: job } = known.get(key) ?? {}
    const at = step ?? job
    if (at === undefined) return []
    const { filtered, duplicate, expired, lost } = step ?? NO_STEPS
    const { planned, errors, delivered, dead, discarded, open, waiting } = job ?? NO_JOBS
    return [
      {
        source: at.source,
        handler: at.handler,
        ...{ planned, errors, filtered, duplicate, expired, lost },
        ...{ delivered, dead, discarded, in_progress: open + waiting, waiting },
      },
    ]
  })
}

function textOf(offset: bigint | null): string | null {
  return offset === null ? null : String(offset)
}
