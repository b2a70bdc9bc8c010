/**
 * One request's way: read, verify, check, look for its twin, append, answer. Order matters: nothing is parsed before it was
 * verified, and a 2xx is sent only after the log acknowledged the record (I1). A crash before that leaves the sender
 * without an answer; its retry becomes a duplicate, not a loss.
 */
import type { ServerResponse } from 'node:http'
import type { FastifyRequest } from 'fastify'
import type { Clock } from '../core/clock.ts'
import type { Logger } from '../core/log.ts'
import type { AppendRecord, Topic } from '../core/ports/event-log.ts'
import type { Metrics } from '../core/ports/metrics.ts'
import { encodeEvent } from '../core/record/encode-event.ts'
import type { EventRecord } from '../core/record/event-record.ts'
import { JsonBody } from '../core/record/json-body.ts'
import { partitionFor } from '../core/record/partitioner.ts'
import { weightOf, type Appender } from './appender.ts'
import type { Deadlines } from './deadlines.ts'
import type { DedupWindow } from './dedup-window.ts'
import type { DiskGuard } from './disk-guard.ts'
import type { DuplicateSummary } from './duplicate-summary.ts'
import { Exchange } from './exchange.ts'
import { misfitProblem, problems, type Problem } from './problem.ts'
import { drain, readBody } from './read-body.ts'
import type { RefusedRequest, Rejections } from './rejections.ts'
import type { CheckedRequest, ReceivedRequest, SourceIntake } from './source-intake.ts'

export interface ReceiverDeps {
  readonly intakes: ReadonlyMap<string, SourceIntake>
  /** Null until the log has answered once. */
  readonly topicOf: (name: string) => Topic | null
  readonly appender: Appender
  readonly deadlines: Deadlines
  readonly window: DedupWindow
  readonly summary: DuplicateSummary
  readonly rejections: Rejections
  readonly disk: DiskGuard
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
  readonly nextId: () => string
  readonly inFlightBytesMax: number
  /** Told of an append's failure, which may mean that topics were made anew. */
  readonly onAppendFailed: (error: unknown) => void
}

export class Receiver {
  readonly #deps: ReceiverDeps
  /** First requests whose append has not settled, by twin key; resolves to the event id, or null when it failed. */
  readonly #twins = new Map<string, Promise<string | null>>()
  #inFlightBytes = 0
  #stopping = false

  constructor(deps: ReceiverDeps) {
    this.#deps = deps
  }

  get inFlightBytes(): number {
    return this.#inFlightBytes
  }

  /** From now on every request is answered 503. */
  refuseAll(): void {
    this.#stopping = true
  }

  handle(request: FastifyRequest, response: ServerResponse, sourceName: string): void {
    const { intakes, deadlines } = this.#deps
    const intake = intakes.get(sourceName)
    const early = intake === undefined ? problems.unknownSource : this.#shed()
    const exchange = new Exchange(response, deadlines, (bytes) => {
      this.#inFlightBytes -= bytes
    })
    if (intake === undefined || early !== null) {
      exchange.fail(early ?? problems.unknownSource)
      exchange.release()
      drain(request.raw)
      return
    }
    const reserve = (bytes: number): boolean => {
      this.#reserve(exchange, bytes)
      return this.#inFlightBytes <= this.#deps.inFlightBytesMax
    }
    readBody(request.raw, { bytesMax: intake.source.bodyBytesMax, reserve }, (result) => {
      switch (result.kind) {
        case 'body':
          this.#accept(intake, exchange, this.#received(request, result.body))
          return
        case 'too-large':
          exchange.fail(problems.bodyTooLarge)
          this.#reject(intake, this.#received(request, null), {
            reason: 'size',
            detail: problems.bodyTooLarge.code,
            sizeBytes: result.readBytes,
          })
          break
        case 'no-room':
          exchange.fail(problems.overloaded)
          break
        case 'incomplete':
          exchange.fail(problems.bodyIncomplete)
          break
        default:
          result satisfies never
      }
      exchange.release()
    })
  }

  #shed(): Problem | null {
    if (this.#stopping) return problems.stopping
    if (this.#deps.disk.shedding) return problems.diskFull
    return this.#inFlightBytes >= this.#deps.inFlightBytesMax ? problems.overloaded : null
  }

  #reserve(exchange: Exchange, bytes: number): void {
    this.#inFlightBytes += bytes
    exchange.reservedBytes += bytes
  }

  #received(request: FastifyRequest, body: Buffer | null): ReceivedRequest {
    return {
      method: request.method,
      url: request.url,
      clientIp: request.ip,
      headers: pairsOf(request.raw.rawHeaders),
      body: body ?? Buffer.alloc(0),
      receivedAtMs: this.#deps.clock.now(),
    }
  }

  #accept(intake: SourceIntake, exchange: Exchange, request: ReceivedRequest): void {
    const verification = intake.verify(request)
    if (!verification.ok) {
      exchange.fail(problems.refused[verification.reason])
      exchange.release()
      const sizeBytes = request.body.length
      this.#reject(intake, request, { reason: 'signature', detail: verification.reason, sizeBytes })
      return
    }
    const { deadlines, clock } = this.#deps
    exchange.start(intake.source.deadlineMs, clock.monotonic())
    deadlines.add(exchange)
    const json = new JsonBody(request.body)
    const verdict = intake.checkSchema(request, json)
    const checked = { request, verified: verification, json }
    if (verdict instanceof Promise)
      void verdict.then((answer) => {
        this.#keep(intake, exchange, { ...checked, verdict: answer })
      })
    else this.#keep(intake, exchange, { ...checked, verdict })
  }

  #keep(intake: SourceIntake, exchange: Exchange, checked: CheckedRequest): void {
    if (this.#refusesMisfit(intake, exchange, checked)) return
    const { metrics, nextId } = this.#deps
    metrics.count('events_received_total', intake.labels)
    const event = intake.toEvent(checked, nextId())
    const twinKey = intake.twinKey(event)
    if (twinKey === null || !this.#answerTwin(intake, exchange, twinKey))
      void this.#append(intake, exchange, { event, twinKey })
  }

  /** True when the request was answered, because its body does not fit and the source says that it must. */
  #refusesMisfit(intake: SourceIntake, exchange: Exchange, { request, verdict }: CheckedRequest): boolean {
    if (verdict === null || verdict.kind === 'fits') return false
    if (verdict.kind === 'unchecked') this.#deps.metrics.count('events_unchecked_total', intake.labels)
    else if (intake.source.schema?.onFailure === 'accept')
      this.#deps.metrics.count('events_misfit_total', intake.labels)
    else {
      const { reason, expected } = verdict.misfit
      exchange.fail(misfitProblem(verdict.misfit))
      exchange.release()
      const detail = expected === null ? reason : `${reason}: ${expected}`
      this.#reject(intake, request, { reason: 'schema', detail, sizeBytes: request.body.length })
      return true
    }
    return false
  }

  /** False when the request has no twin that was acknowledged lately or is on its way. */
  #answerTwin(intake: SourceIntake, exchange: Exchange, twinKey: string): boolean {
    const known = this.#deps.window.find(twinKey, this.#deps.clock.monotonic())
    const pending = this.#twins.get(twinKey)
    if (known === null && pending === undefined) return false
    const answer = (original: string | null): void => {
      if (original === null) exchange.fail(problems.logTimeout)
      else if (exchange.succeed(original, true)) this.#countTwin(intake)
      exchange.release()
    }
    if (known !== null) answer(known)
    else void pending?.then(answer)
    return true
  }

  #countTwin(intake: SourceIntake): void {
    this.#deps.summary.count(intake.source.name)
    this.#deps.metrics.count('events_duplicate_total', intake.labels)
  }

  /** The key enters the window only behind the log's acknowledgement; an append that failed frees it (lesson 4). */
  async #append(
    intake: SourceIntake,
    exchange: Exchange,
    { event, twinKey }: { event: EventRecord; twinKey: string | null },
  ): Promise<void> {
    const record = this.#recordOf(intake, event)
    const appended = record && this.#deps.appender.append(record)
    if (record === null || appended === null) {
      exchange.fail(record === null ? problems.logTimeout : problems.overloaded)
      exchange.release()
      return
    }
    this.#reserve(exchange, weightOf(record) - event.body.length)
    const twin = twinKey === null ? null : Promise.withResolvers<string | null>()
    if (twin !== null && twinKey !== null) this.#twins.set(twinKey, twin.promise)
    let acknowledged: string | null = null
    try {
      await appended
      acknowledged = event.id
      if (twinKey !== null) this.#deps.window.acknowledge(twinKey, event.id, this.#deps.clock.monotonic())
      exchange.succeed(event.id, false)
      this.#observe(intake, exchange)
    } catch (error) {
      exchange.fail(problems.logTimeout)
      this.#deps.onAppendFailed(error)
    } finally {
      if (twinKey !== null) this.#twins.delete(twinKey)
      twin?.resolve(acknowledged)
      exchange.release()
    }
  }

  #recordOf(intake: SourceIntake, event: EventRecord): AppendRecord | null {
    const topic = this.#deps.topicOf(intake.topicName)
    if (topic === null) return null
    const encoded = encodeEvent(event)
    return { topic, partition: partitionFor(encoded.key, topic.partitions), ...encoded }
  }

  #observe({ labels }: SourceIntake, { startedAtMs }: Exchange): void {
    const seconds = (this.#deps.clock.monotonic() - startedAtMs) / 1000
    this.#deps.metrics.observe('ack_duration_seconds', labels, seconds)
  }

  #reject(
    intake: SourceIntake,
    { clientIp, headers }: ReceivedRequest,
    why: Pick<RefusedRequest, 'reason' | 'detail' | 'sizeBytes'>,
  ): void {
    this.#deps.rejections.note({ source: intake.source.name, clientIp, headers, ...why })
  }
}

/** Node's flat list of names and values, in order as received. */
function pairsOf(rawHeaders: readonly string[]): (readonly [string, string])[] {
  const pairs: (readonly [string, string])[] = []
  for (let index = 0; index + 1 < rawHeaders.length; index += 2)
    pairs.push([rawHeaders[index] ?? '', rawHeaders[index + 1] ?? ''])
  return pairs
}
