/** Events, jobs and attempts as the API shows them: field names are a promise to scripts. Pure. */
import type { Config } from '../core/config/config.ts'
import { withoutQuery } from '../core/config/redact-config.ts'
import { publicKeysOf } from '../core/delivery/signing-key.ts'
import type { EventRecord } from '../core/record/event-record.ts'
import type { DeadGroup, DeadGroupBy } from '../core/ports/dead-letter-store.ts'
import type { AttemptView, EventView, HandlerView, JobView } from '../core/ports/operator-store.ts'
import type { ReplayView } from '../core/ports/replay-store.ts'
import { handlerOf } from '../core/replay/replay-name.ts'

export function isoOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString()
}

export function eventJson(event: EventView) {
  return {
    id: event.eventId,
    source: event.source,
    event_type: event.type,
    subject: event.subject,
    created_at: isoOf(event.createdAtMs),
    unique_key: event.uniqueKey,
    size_bytes: event.sizeBytes,
    duplicate: event.verdict === 'duplicate',
    duplicate_of: event.originalEventId,
    conflict: event.conflict,
    log: {
      topic: event.topic,
      topic_id: event.topicId,
      partition: event.partition,
      offset: String(event.offset),
    },
  }
}

/** Of the request as it came: its headers stand beside the rest, not in it as well. */
export function evidenceJson(event: EventRecord | null) {
  const { request = null, evidence = null, schema = null, decoded = null } = event ?? {}
  const found = { evidence, schema, payload_decoded: decoded }
  if (request === null) return { headers: null, request, ...found }
  const { headers, ...rest } = request
  return { headers, request: rest, ...found }
}

export function jobJson(job: JobView, { handlers }: Pick<Config, 'handlers'>) {
  const url = handlers.find(({ name }) => name === handlerOf(job.handler))?.url
  return {
    id: job.jobId,
    event_id: job.eventId,
    handler: job.handler,
    source: job.source,
    event_type: job.eventType,
    url: url === undefined ? null : withoutQuery(url),
    status: job.state,
    attempt: job.attempt,
    max_attempts: job.maxAttempts,
    scheduled_at: isoOf(job.scheduledAtMs),
    last_error: job.lastError,
    created_at: isoOf(job.createdAtMs),
    completed_at: isoOf(job.completedAtMs),
  }
}

/** The columns that were asked for, then the figures. */
export function deadGroupJson(group: DeadGroup, by: readonly DeadGroupBy[]) {
  const { handler, source, eventType, error, jobs, firstDiedAtMs, lastDiedAtMs } = group
  const columns = { handler, source, event_type: eventType, error }
  return {
    ...Object.fromEntries(by.map((name) => [name, columns[name]])),
    ...{ jobs, first_died_at: isoOf(firstDiedAtMs), last_died_at: isoOf(lastDiedAtMs) },
  }
}

export function attemptJson(attempt: AttemptView) {
  return {
    id: attempt.attemptId,
    job_id: attempt.jobId,
    event_id: attempt.eventId,
    handler: attempt.handler,
    attempt: attempt.attempt,
    status_code: attempt.statusCode,
    duration_ms: attempt.durationMs,
    error: attempt.errorClass,
    error_detail: attempt.errorDetail,
    remote_address: attempt.remoteAddress,
    late: attempt.late,
    timings: attempt.timings,
    response_body: attempt.responseBody?.toString('utf8') ?? null,
    created_at: isoOf(attempt.createdAtMs),
  }
}

export function replayJson(replay: ReplayView) {
  const { counts, ranges, asked, reason, filter } = replay
  const sumOf = (read: (range: ReplayView['ranges'][number]) => bigint): number =>
    Number(ranges.reduce((sum, range) => sum + read(range), 0n))
  return {
    ...{
      id: replay.replayId,
      handler: replay.handler === '' ? null : replay.handler,
      to_topic: replay.toTopic,
    },
    ...{ source: replay.source, topic: replay.topic },
    ...{ status: replay.status, filter, rate: replay.perSecond, asked, reason },
    ...{ created_at: isoOf(replay.createdAtMs), ended_at: isoOf(replay.endedAtMs) },
    offsets: sumOf(({ first, end }) => end - first),
    offsets_done: sumOf(({ first, next }) => next - first),
    ...counts,
    ...{ delivered: replay.delivered, dead: replay.dead, discarded: replay.discarded, open: replay.open },
    ranges: ranges.map(({ topicId, partition, first, next, end }) => ({
      ...{ topic_id: topicId, partition },
      ...{ from_offset: String(first), to_offset: String(end - 1n), next_offset: String(next) },
    })),
  }
}

export function handlerJson(view: HandlerView, { handlers }: Config) {
  const { handler, source, status, statusReason, dispatchers, unservedSinceMs } = view
  const { breaker, breakerReason, breakerSinceMs } = view
  const pool = handlers.find(({ name }) => name === handler)?.pool ?? null
  return {
    ...{ handler, source, pool, status, status_reason: statusReason, dispatchers },
    unserved_since: isoOf(unservedSinceMs),
    ...{ breaker, breaker_reason: breakerReason, breaker_since: isoOf(breakerSinceMs) },
  }
}

/** Public keys of v1a signatures, in the order in which requests are signed with them; handlers without any are left out. */
export function signingKeysJson({ handlers, delivery }: Config) {
  return handlers.flatMap((handler) =>
    publicKeysOf(handler, delivery).map(({ publicKey, pem }) => ({
      handler: handler.name,
      public_key: publicKey,
      pem,
    })),
  )
}
