/**
 * One request between its arrival and its answer: answered exactly once (by the log's acknowledgement, a failure or
 * its deadline, whichever comes first), its bytes given back exactly once, which may be later than the answer.
 */
import type { FastifyReply } from 'fastify'
import type { Deadlines, Waiting } from './deadlines.ts'
import { problems, type Problem } from './problem.ts'

export class Exchange implements Waiting {
  readonly #reply: FastifyReply
  readonly #deadlines: Deadlines
  readonly #giveBack: (bytes: number) => void
  #answered = false
  reservedBytes = 0
  deadlineMs = 0
  startedAtMs = 0

  constructor(reply: FastifyReply, deadlines: Deadlines, giveBack: (bytes: number) => void) {
    this.#reply = reply
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
    this.#reply
      .code(200)
      .header('content-type', 'application/json; charset=utf-8')
      .send(`{"event_id":"${eventId}","duplicate":${duplicate ? 'true' : 'false'}}`)
    return true
  }

  fail({ status, retryAfterSeconds, body }: Problem): void {
    if (!this.#take()) return
    if (retryAfterSeconds !== null) this.#reply.header('retry-after', String(retryAfterSeconds))
    this.#reply.code(status).header('content-type', 'application/problem+json').send(body)
  }

  release(): void {
    this.#giveBack(this.reservedBytes)
    this.reservedBytes = 0
  }

  #take(): boolean {
    if (this.#answered) return false
    this.#answered = true
    this.#deadlines.remove(this)
    return true
  }
}
