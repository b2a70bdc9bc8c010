/**
 * One request between its arrival and its answer: answered exactly once (by the log's acknowledgement, a failure or
 * its deadline, whichever comes first), its bytes given back exactly once, which may be later than the answer.
 * Written to node's response itself: fastify's serialising and hooks cost more than the answer, and it has neither.
 */
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Deadlines, Waiting } from './deadlines.ts'
import { problems, type Problem } from './problem.ts'

export class Exchange implements Waiting {
  readonly #response: ServerResponse
  readonly #deadlines: Deadlines
  readonly #giveBack: (bytes: number) => void
  #answered = false
  reservedBytes = 0
  deadlineMs = 0
  startedAtMs = 0

  constructor(response: ServerResponse, deadlines: Deadlines, giveBack: (bytes: number) => void) {
    this.#response = response
    this.#deadlines = deadlines
    this.#giveBack = giveBack
  }

  start(deadlineMs: number, startedAtMs: number): void {
    this.deadlineMs = deadlineMs
    this.startedAtMs = startedAtMs
  }

  expire(): void {
    this.fail(problems.logTimeout)
  }

  /** False when it was answered before. The id is a ULID: it needs no escaping. */
  succeed(eventId: string, duplicate: boolean): boolean {
    if (!this.#take()) return false
    const body = `{"event_id":"${eventId}","duplicate":${duplicate ? 'true' : 'false'}}`
    this.#send(200, { 'content-type': 'application/json; charset=utf-8' }, body)
    return true
  }

  fail({ status, retryAfterSeconds, body }: Problem): void {
    if (!this.#take()) return
    const headers: OutgoingHttpHeaders = { 'content-type': 'application/problem+json' }
    if (retryAfterSeconds !== null) headers['retry-after'] = String(retryAfterSeconds)
    this.#send(status, headers, body)
  }

  release(): void {
    this.#giveBack(this.reservedBytes)
    this.reservedBytes = 0
  }

  #send(status: number, headers: OutgoingHttpHeaders, body: string): void {
    headers['content-length'] = Buffer.byteLength(body)
    this.#response.writeHead(status, headers).end(body)
  }

  #take(): boolean {
    if (this.#answered) return false
    this.#answered = true
    this.#deadlines.remove(this)
    return true
  }
}
