/**
 * One taken job: payload, body, lease check, request, decision, outcome. What is sent is the event's own bytes (I2), or
 * what the handler's transform makes of them; what the answer means is decided in core/delivery/decide-outcome.ts alone.
 */
import type { KeyObject } from 'node:crypto'
import type { Clock } from '../core/clock.ts'
import type { DeliveryConfig, HandlerConfig } from '../core/config/config.ts'
import {
  decideOutcome,
  FILTERED,
  transformFailed,
  type Decision,
  type FinishedSend,
} from '../core/delivery/decide-outcome.ts'
import { deliveryHeaders, type DeliveryHead } from '../core/delivery/delivery-headers.ts'
import { effectOf, type SendEffect } from '../core/delivery/send-effect.ts'
import type { SendRate } from '../core/delivery/send-rate.ts'
import type { Sender } from '../core/delivery/sender.ts'
import type { Logger } from '../core/log.ts'
import type { AttemptTimings } from '../core/ports/attempt-timings.ts'
import type { AttemptOutcome, TakenJob } from '../core/ports/delivery-store.ts'
import type { Metrics } from '../core/ports/metrics.ts'
import type { EventRecord } from '../core/record/event-record.ts'
import { replayIdOf } from '../core/replay/replay-name.ts'
import type { Backlog } from './backlog.ts'
import type { EndpointHealth } from './endpoint-health.ts'
import type { FailingHandlers } from './failing-handlers.ts'
import type { FruitlessHandlers } from './fruitless-handlers.ts'
import type { HourlyNotice } from './hourly-notice.ts'
import type { JobReturner } from './job-returner.ts'
import { reasonOf } from './loop.ts'
import type { OutcomeWriter, Recorded } from './outcome-writer.ts'
import type { PayloadCache } from './payload-cache.ts'
import type { Transforms } from './transforms.ts'
import type { RetriedFilter } from './retried-filter.ts'
import type { WaitList } from './wait-list.ts'

/** A payload that cannot be read costs no attempt; the job is due again after this. */
export const PAYLOAD_RETRY_MS = 30_000

const NO_REQUEST: AttemptTimings = {
  totalMs: 0,
  dnsMs: null,
  connectMs: null,
  tlsMs: null,
  firstByteMs: null,
}

export interface JobDeliveryOptions {
  readonly handler: HandlerConfig
  readonly bytesKept: DeliveryConfig['responseBytesKept']
  readonly keys: readonly KeyObject[]
  readonly generation: string
  readonly sender: Sender
  readonly payloads: PayloadCache
  readonly transforms: Pick<Transforms, 'evaluate'>
  readonly retriedFilter: Pick<RetriedFilter, 'judge' | 'discard'>
  /** Of all handlers together. */
  readonly expressionErrors: HourlyNotice
  readonly outcomes: OutcomeWriter
  readonly returner: JobReturner
  readonly backlog: Backlog
  readonly failing: FailingHandlers
  readonly fruitless: Pick<FruitlessHandlers, 'note'>
  readonly endpoints: Pick<EndpointHealth, 'note'>
  readonly rate: SendRate
  readonly bodyDigest: (body: Buffer) => Buffer
  readonly random: () => number
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
  readonly waits: WaitList
}

export interface TakenAs {
  /** Monotonic time at which the lease may end. */
  readonly sendBefore: number
  /** Called when the request has ended and its slot is free again. */
  readonly sent: () => void
}

type RequestBody = Pick<DeliveryHead, 'body' | 'contentType'>

interface Ended {
  /** Null: no request was made. */
  readonly result: FinishedSend | null
  readonly decision: Decision
}

export class JobDelivery {
  readonly #options: JobDeliveryOptions
  /** What waits, where payloads cannot be read. */
  readonly #payloads: string

  constructor(options: JobDeliveryOptions) {
    this.#options = options
    this.#payloads = `payloads for ${options.handler.name}`
  }

  /** Resolves, when the outcome is written, with what the request says of the endpoint; null where there was none. */
  async deliver(job: TakenJob, taken: TakenAs): Promise<SendEffect | null> {
    const { returner, sender, handler, clock } = this.#options
    const event = await this.#payload(job)
    if (event === null) {
      await returner.giveBack(job, { delayMs: PAYLOAD_RETRY_MS, reason: 'payload_unavailable' })
      return null
    }
    const refusal = this.#options.retriedFilter.judge(job, event)
    if (refusal !== null) {
      await this.#refuse(job, event, refusal)
      return null
    }
    const made = handler.transform === null ? ownBody(event) : await this.#transformed(job, event)
    if (made === null) return null
    const request = { headers: this.#headers(job, event, made), body: made.body }
    // Nothing awaits between this check and the request: past it, the lease outlives the request's timeout.
    if (clock.monotonic() + handler.timeoutMs > taken.sendBefore) {
      await returner.giveBack(job, { delayMs: 0, reason: 'lease_too_short' })
      return null
    }
    const result = await sender.send(request)
    taken.sent()
    // The process is ending and nobody knows what the endpoint did: the lease expires, the attempt is `unknown`.
    if (result.kind === 'abandoned') return null
    const decision = this.#decide(job, result)
    // Before it is written: while the store is away the endpoint is judged all the same.
    const effect = this.#judge(handler.name, result, decision)
    const { outcomes, bodyDigest, metrics } = this.#options
    const requestDigest = bodyDigest(made.body)
    const recorded = await outcomes.write(this.#outcome(job, { result, decision, requestDigest }))
    metrics.observe('delivery_duration_seconds', { handler: handler.name }, result.timings.totalMs / 1000)
    this.#note({ job, event, decision, recorded })
    return effect
  }

  /** Null: there is nothing to send, and what becomes of the job is written. */
  async #transformed(job: TakenJob, event: EventRecord): Promise<RequestBody | null> {
    const { handler, transforms, returner } = this.#options
    const made = await transforms.evaluate(handler.name, handler.transform ?? '', event)
    switch (made.kind) {
      case 'body':
        return { body: Buffer.from(made.body), contentType: made.contentType }
      case 'error':
        await this.#refuse(job, event, transformFailed(made.detail))
        return null
      case 'unavailable':
        this.#options.logger.debug({ job_id: job.jobId, reason: made.reason }, 'transform_unavailable')
        await returner.giveBack(job, { delayMs: PAYLOAD_RETRY_MS, reason: 'transform_unavailable' })
        return null
      default:
        return made satisfies never
    }
  }

  /** Dead without a request: what an expression does to this event it does at every attempt, until it is changed. */
  async #refuse(job: TakenJob, event: EventRecord, decision: Decision): Promise<void> {
    const { outcomes, retriedFilter, expressionErrors, logger } = this.#options
    const recorded = await outcomes.write(this.#outcome(job, { result: null, decision, requestDigest: null }))
    this.#note({ job, event, decision, recorded })
    if (decision.errorClass === FILTERED) {
      if (recorded === 'recorded') await retriedFilter.discard(job)
      return
    }
    const jobs = expressionErrors.note(job.handler)
    if (jobs === null) return
    const { errorClass, errorDetail: detail } = decision
    const fields = { job_id: job.jobId, event_id: job.eventId, handler: job.handler, jobs, detail }
    logger.error(fields, `${errorClass}: jobs are dead; correct the expression, then hooktrail jobs retry`)
  }

  /** Said once for a handler, and in /health, until a payload of it is had again. */
  async #payload(job: TakenJob): Promise<EventRecord | null> {
    const { payloads, waits, logger } = this.#options
    try {
      const event = await payloads.get(job)
      if (event !== null) waits.clear(this.#payloads)
      return event
    } catch (error) {
      const { jobId, topic, partition, offset } = job
      const fields = { job_id: jobId, handler: job.handler, topic, partition, offset: String(offset) }
      const isNew = waits.set(this.#payloads, reasonOf(error))
      logger[isNew ? 'warn' : 'debug']({ ...fields, err: error }, 'payload_unavailable: the job waits')
      return null
    }
  }

  #headers(job: TakenJob, event: EventRecord, made: RequestBody): Record<string, string> {
    const { handler, clock, keys } = this.#options
    return deliveryHeaders({
      handler: handler.name,
      jobId: job.jobId,
      attempt: job.attempt,
      replay: replayIdOf(job.handler),
      event,
      ...made,
      nowMs: clock.now(),
      keys,
      own: handler.headers,
    })
  }

  #decide(job: TakenJob, result: FinishedSend): Decision {
    const { handler, clock, random } = this.#options
    return decideOutcome(result, {
      attempt: job.attempt,
      attemptsMax: job.maxAttempts,
      retry: handler.retry,
      nowMs: clock.now(),
      random: random(),
    })
  }

  #judge(handler: string, result: FinishedSend, { errorClass }: Decision): SendEffect {
    const { clock, endpoints, fruitless, rate } = this.#options
    const effect = effectOf(result, clock.now())
    endpoints.note(handler, effect, errorClass)
    fruitless.note(handler, errorClass === null)
    if (effect.kind === 'slow-down') rate.slowDown(effect.waitMs, clock.monotonic())
    if (effect.kind === 'answered') rate.answered(clock.monotonic())
    return effect
  }

  #outcome(
    job: TakenJob,
    { result, decision, requestDigest }: Ended & { readonly requestDigest: Buffer | null },
  ): AttemptOutcome {
    return {
      job,
      statusCode: result?.kind === 'response' ? result.statusCode : null,
      errorClass: decision.errorClass,
      errorDetail: decision.errorDetail,
      timings: result?.timings ?? NO_REQUEST,
      remoteAddress: result?.remoteAddress ?? null,
      responseBody: result?.kind === 'response' ? result.body : null,
      requestDigest,
      generation: this.#options.generation,
      next: decision.next,
    }
  }

  #note(done: { job: TakenJob; event: EventRecord; decision: Decision; recorded: Recorded }): void {
    const { metrics, backlog, failing, logger, clock } = this.#options
    const { job, event, decision, recorded } = done
    const handler = job.handler
    const late = recorded !== 'recorded'
    metrics.count('deliveries_total', { handler, result: late ? recorded : decision.next.state })
    if (decision.errorClass !== null)
      metrics.count('delivery_errors_total', { handler, class: decision.errorClass })
    if (late) return
    // What is planned ahead for the handler, and how soon events arrive, is told by live jobs alone.
    const isLive = job.handler === handler
    if (isLive) backlog.finished(handler)
    const fields = { job_id: job.jobId, event_id: job.eventId, handler, attempt: job.attempt }
    if (decision.errorClass === null) failing.delivered(handler)
    else if (decision.errorClass !== FILTERED)
      failing.failed(handler, decision.errorClass, { ...fields, detail: decision.errorDetail })
    if (decision.next.state === 'completed' && isLive)
      metrics.observe('end_to_end_seconds', { handler }, Math.max(clock.now() - event.receivedAtMs, 0) / 1000)
    if (decision.next.state === 'dead' && decision.errorClass !== FILTERED) {
      metrics.count('dlq_total', { handler })
      logger.warn({ ...fields, error: decision.errorClass }, 'the job is dead')
    }
    if (decision.disables === null) return
    metrics.count('handlers_disabled_total', { handler, reason: decision.disables })
    logger.error({ ...fields, reason: decision.disables, detail: decision.errorDetail }, 'handler disabled')
  }
}

function ownBody({ body }: EventRecord): RequestBody {
  return { body, contentType: null }
}
