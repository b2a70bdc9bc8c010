/**
 * The independent check of a whole trail: what the sender was told, what the receiver saw and what the archive's data
 * files hold must tell one story. Pure, and free of product code. Returns what is wrong, one line each.
 */
import type { ArchivedRow } from './archive-reader.ts'

export interface Trail {
  /** Event ids that were answered 2xx. */
  readonly acked: readonly string[]
  /** Every request that the receiver got: `<event id>.<handler>`, in order. */
  readonly received: readonly string[]
  /** Rows of all data files, in the order of the files. */
  readonly rows: readonly ArchivedRow[]
}

interface PlanStep {
  readonly handler: string
  readonly topicId: string
  readonly partition: number
  readonly first: bigint
  readonly next: bigint
  readonly planned: readonly bigint[]
}

interface Attempt {
  readonly id: string
  readonly jobId: string
  readonly late: boolean
  readonly error: string | null
}

export function checkTrail(trail: Trail): readonly string[] {
  const events = trail.rows.filter(({ topic }) => topic.includes('.events.'))
  const deliveries = trail.rows
    .filter(({ topic }) => topic.endsWith('.deliveries'))
    .map(({ value }) => parse(value))
  const steps = distinct(deliveries.filter(({ kind }) => kind === 'plan_step')).map(readStep)
  const attempts = distinct(deliveries.filter(({ kind }) => kind === 'attempt')).map(readAttempt)
  return [
    ...checkOffsets(trail.rows),
    ...checkAcked(trail.acked, events),
    ...checkSteps(steps),
    ...checkPlannedOnce(steps, events),
    ...checkDelivered(trail, attempts),
  ]
}

/** Each offset of each partition exactly once, in order, from 0. */
function checkOffsets(rows: readonly ArchivedRow[]): readonly string[] {
  const expected = new Map<string, bigint>()
  return rows.flatMap(({ topic, topicId, partition, offset }) => {
    const name = `${topic}/${topicId}/${partition}`
    const next = expected.get(name) ?? 0n
    expected.set(name, offset + 1n)
    return offset === next ? [] : [`${name}: offset ${offset} where ${next} was due`]
  })
}

function checkAcked(acked: readonly string[], events: readonly ArchivedRow[]): readonly string[] {
  const archived = new Set(events.map(({ eventId }) => eventId))
  return acked
    .filter((id) => !archived.has(id))
    .map((id) => `${id} was acknowledged and is not in the archive`)
}

/** Steps of one handler (and of the index, whose name is empty) in one partition join without gap or overlap. */
function checkSteps(steps: readonly PlanStep[]): readonly string[] {
  const expected = new Map<string, bigint>()
  const ordered = [...steps].sort((a, b) => (a.first < b.first ? -1 : 1))
  return ordered.flatMap(({ handler, topicId, partition, first, next }) => {
    const name = `${handler || 'index'}/${topicId}/${partition}`
    const due = expected.get(name) ?? first
    expected.set(name, next)
    return first === due ? [] : [`plan steps of ${name}: ${first} where ${due} was due`]
  })
}

function checkPlannedOnce(steps: readonly PlanStep[], events: readonly ArchivedRow[]): readonly string[] {
  const ids = new Map(
    events.map(({ topicId, partition, offset, eventId }) => [`${topicId}/${partition}/${offset}`, eventId]),
  )
  const planned = new Set<string>()
  return steps.flatMap((step) =>
    step.planned.flatMap((offset) => {
      const job = `${ids.get(`${step.topicId}/${step.partition}/${offset}`) ?? 'unknown event'}.${step.handler}`
      if (planned.has(job)) return [`${job} was planned twice`]
      planned.add(job)
      return []
    }),
  )
}

/** Every acked event reached the receiver; a second request for one job only where an attempt of it is not a clean success. */
function checkDelivered(trail: Trail, attempts: readonly Attempt[]): readonly string[] {
  const counts = new Map<string, number>()
  for (const id of trail.received) counts.set(id, (counts.get(id) ?? 0) + 1)
  const excused = new Set(
    attempts.filter(({ late, error }) => late || error !== null).map(({ jobId }) => jobId),
  )
  const delivered = new Set(trail.received.map((id) => id.slice(0, id.indexOf('.'))))
  return [
    ...trail.acked
      .filter((id) => !delivered.has(id))
      .map((id) => `${id} was acknowledged and never reached the receiver`),
    ...[...counts]
      .filter(([id, count]) => count > 1 && !excused.has(id))
      .map(([id, count]) => `${id} was sent ${count} times without a reason`),
  ]
}

type Row = Readonly<Record<string, unknown>>

function parse(value: string | null): Row {
  return JSON.parse(value ?? '{}') as Row
}

/** A relay that dies after its append publishes again: readers take distinct ids. */
function distinct(rows: readonly Row[]): readonly Row[] {
  return [...new Map(rows.map((row) => [String(row['id']), row])).values()]
}

function readStep(row: Row): PlanStep {
  return {
    handler: String(row['handler']),
    topicId: String(row['topic_id']),
    partition: Number(row['partition']),
    first: BigInt(String(row['first'])),
    next: BigInt(String(row['next'])),
    planned: (row['planned_offsets'] as unknown[]).map((offset) => BigInt(String(offset))),
  }
}

function readAttempt(row: Row): Attempt {
  return {
    id: String(row['id']),
    jobId: String(row['job_id']),
    late: row['late'] === true,
    error: typeof row['error'] === 'string' ? row['error'] : null,
  }
}
