/** Part of the job store's port: what operators see of events, jobs, attempts and handlers, and what they change. */
import type { AttemptTimings } from './attempt-timings.ts'
import type { BreakerState } from './breaker-store.ts'
import type { AuditEntry, DeadLetterStore } from './dead-letter-store.ts'
import type { TopicId } from './event-log.ts'
import type { HandlerService } from './lease-store.ts'

export interface EventView {
  readonly eventId: string
  readonly source: string
  readonly type: string
  readonly subject: string | null
  readonly createdAtMs: number
  readonly topic: string
  readonly topicId: TopicId
  readonly partition: number
  readonly offset: bigint
  readonly uniqueKey: string | null
  readonly sizeBytes: number
  readonly verdict: 'first' | 'duplicate'
  readonly originalEventId: string | null
  readonly conflict: boolean
}

export type JobState = 'available' | 'running' | 'retryable' | 'completed' | 'dead' | 'discarded'

export interface JobView {
  readonly jobId: string
  readonly eventId: string
  readonly handler: string
  readonly source: string
  readonly eventType: string
  readonly state: JobState
  readonly attempt: number
  readonly maxAttempts: number
  readonly scheduledAtMs: number | null
  readonly lastError: string | null
  readonly createdAtMs: number
  readonly completedAtMs: number | null
}

export interface AttemptView {
  readonly attemptId: string
  readonly jobId: string
  readonly eventId: string
  readonly handler: string
  readonly attempt: number
  readonly statusCode: number | null
  readonly durationMs: number
  readonly timings: AttemptTimings | null
  readonly errorClass: string | null
  readonly errorDetail: string | null
  readonly remoteAddress: string | null
  readonly late: boolean
  readonly responseBody: Buffer | null
  readonly createdAtMs: number
}

export interface EventFilter {
  readonly source?: string
  readonly type?: string
  readonly sinceMs?: number
  readonly untilMs?: number
  /** Opaque; from the previous page. */
  readonly cursor?: string
  readonly limit: number
}

export interface JobFilter {
  readonly handler?: string
  readonly state?: JobState
  readonly eventId?: string
  readonly source?: string
  readonly eventType?: string
  /** Class of the last error. */
  readonly error?: string
  /** Of the time at which it ended. */
  readonly sinceMs?: number
  readonly untilMs?: number
  readonly cursor?: string
  readonly limit: number
}

export interface Page<T> {
  readonly items: readonly T[]
  readonly next: string | null
}

export interface HandlerView extends HandlerService {
  readonly handler: string
  readonly source: string
  readonly status: 'active' | 'paused' | 'disabled'
  readonly statusReason: string | null
  readonly breaker: BreakerState
  /** Why and when it opened; null while it is closed. */
  readonly breakerReason: string | null
  readonly breakerSinceMs: number | null
}

export interface OperatorStore extends DeadLetterStore {
  /** Newest first. */
  listEvents(filter: EventFilter): Promise<Page<EventView>>
  getEvent(eventId: string): Promise<EventView | null>
  listJobs(filter: JobFilter): Promise<Page<JobView>>
  getJob(jobId: string): Promise<JobView | null>
  listAttempts(jobId: string): Promise<readonly AttemptView[]>
  handlers(): Promise<readonly HandlerView[]>
  /** The reason of the status is the audit entry's; both commit together (I9). False where there is no such handler. */
  setHandlerStatus(name: string, status: HandlerView['status'], audit: AuditEntry): Promise<boolean>
  writeAudit(entry: AuditEntry): Promise<void>
}
