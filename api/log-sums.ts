/**
 * What ingress refused and what it answered as a repeat itself, counted from the records that it left in the log: of what
 * the log still holds. A record that somebody else wrote, or wrote otherwise, is only not counted.
 */
import type { EventLog, LogRecord, Topic } from '../core/ports/event-log.ts'
import type { ReportWindow } from '../core/ports/report-store.ts'
import { isObject, parseJson } from '../core/record/parse-header.ts'
import { auditTopic, rejectedTopic } from '../core/topics.ts'

export interface RejectedSum {
  readonly source: string
  readonly reason: string
  /** Recorded ones and those that their records count as left out. */
  readonly rejected: number
}

export interface RepeatedSum {
  readonly source: string
  /** Answered as duplicates by ingress, and not appended. */
  readonly repeated: number
}

export interface LogSums {
  readonly rejected: readonly RejectedSum[]
  readonly repeated: readonly RepeatedSum[]
}

export interface LogSumsDeps {
  readonly log: Pick<EventLog, 'topics' | 'offsetAt' | 'bounds' | 'read'>
  readonly topicPrefix: string
}

const READ_RECORDS_MAX = 1_000
const READ_BYTES_MAX = 4 * 1024 * 1024
const INGRESS_KEY = 'ingress'
const REASON = /^[a-z_]{1,40}$/

export async function readLogSums(
  { log, topicPrefix }: LogSumsDeps,
  window: ReportWindow,
  signal: AbortSignal,
): Promise<LogSums> {
  const topics = await log.topics()
  const named = (wanted: string): Topic | undefined => topics.find(({ name }) => name === wanted)
  const rejected = new Counts()
  const repeated = new Counts()
  for await (const record of recordsOf(log, named(rejectedTopic(topicPrefix)), { window, signal }))
    countRejection(record, rejected)
  for await (const record of recordsOf(log, named(auditTopic(topicPrefix)), { window, signal }))
    countRepeats(record, repeated)
  return {
    rejected: rejected
      .rows()
      .map(({ words: [source = '', reason = ''], count }) => ({ source, reason, rejected: count })),
    repeated: repeated.rows().map(({ words: [source = ''], count }) => ({ source, repeated: count })),
  }
}

interface Row {
  readonly words: readonly string[]
  readonly count: number
}

/** By a few words; as many as sources and reasons there are. */
class Counts {
  readonly #rows = new Map<string, Row>()

  add(words: readonly string[], count: number): void {
    const key = JSON.stringify(words)
    this.#rows.set(key, { words, count: (this.#rows.get(key)?.count ?? 0) + count })
  }

  rows(): readonly Row[] {
    return [...this.#rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row)
  }
}

interface Range {
  readonly window: ReportWindow
  readonly signal: AbortSignal
}

/** Those that the log holds now, in the window by the log's time. */
async function* recordsOf(
  log: LogSumsDeps['log'],
  topic: Topic | undefined,
  { window: { sinceMs, untilMs }, signal }: Range,
): AsyncGenerator<LogRecord, void, undefined> {
  for (let partition = 0; partition < (topic?.partitions ?? 0); partition++) {
    const at = { topic: topic?.name ?? '', topicId: topic?.id ?? '', partition }
    const { logStart, highWatermark } = await log.bounds(at)
    let from = sinceMs === null ? logStart : await log.offsetAt(at, BigInt(Math.ceil(sinceMs)))
    while (from < highWatermark) {
      signal.throwIfAborted()
      const bounds = { recordsMax: READ_RECORDS_MAX, bytesMax: READ_BYTES_MAX, waitMsMax: 0, signal }
      const { records, next } = await log.read({ ...at, from, ...bounds })
      for (const record of records) {
        if (untilMs !== null && record.timestampMs >= untilMs) break
        yield record
      }
      const last = records.at(-1)
      if (next === from || (untilMs !== null && last !== undefined && last.timestampMs >= untilMs)) break
      from = next
    }
  }
}

function countRejection({ value }: LogRecord, counts: Counts): void {
  const rejection = objectIn(value)
  const { source, reason, left_out: leftOut } = rejection
  if (typeof source !== 'string' || typeof reason !== 'string' || !REASON.test(reason)) return
  counts.add([source, reason], 1 + (isCount(leftOut) ? leftOut : 0))
}

function countRepeats({ key, value }: LogRecord, counts: Counts): void {
  if (key?.toString('utf8') !== INGRESS_KEY) return
  const { action, details } = objectIn(value)
  const answered = isObject(details) ? details['answered_as_duplicate'] : null
  if (action !== 'ingress.duplicates' || !isObject(answered)) return
  for (const [source, count] of Object.entries(answered)) if (isCount(count)) counts.add([source], count)
}

function objectIn(value: Buffer | null): Readonly<Record<string, unknown>> {
  const parsed = value === null ? null : parseJson(value.toString('utf8'))
  return isObject(parsed) ? parsed : {}
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
