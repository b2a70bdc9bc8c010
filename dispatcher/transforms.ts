/**
 * Evaluates the transforms of all handlers, in few processes that are started when the first event asks for one. A handler
 * has one evaluation under way at a time and they come in turn, so that a handler whose every event runs into a limit
 * holds one process and delays no other (I6). Without transforms there is none of this.
 */
import type { Clock } from '../core/clock.ts'
import { TRANSFORM_BYTES_MAX, transformError } from '../core/match/transform.ts'
import type { EventRecord } from '../core/record/event-record.ts'
import type { TransformTask } from './transform-messages.ts'
import { TransformRunner, type Evaluated } from './transform-runner.ts'

const PROCESSES_MAX = 4
const LOOK_MS = 250
/** With LOOK_MS about two seconds, of which a millisecond is what they usually take. */
const LOOKS_MAX = 8
const TOO_LONG = `the expression took longer than ${LOOK_MS * LOOKS_MAX} ms`

interface Waiting {
  readonly task: TransformTask
  readonly resolve: (outcome: Evaluated) => void
}

export class Transforms {
  readonly #clock: Clock
  readonly #runners: TransformRunner[] = []
  /** By handler, who waited longest first. */
  readonly #waiting = new Map<string, Waiting[]>()
  readonly #underWay = new Set<string>()
  readonly #closed = new AbortController()
  #isLooking = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** How many may wait is bounded by the slots of the callers. */
  evaluate(handler: string, source: string, event: EventRecord): Promise<Evaluated> {
    if (this.#closed.signal.aborted)
      return Promise.resolve({ kind: 'unavailable', reason: 'the dispatcher ends' })
    if ((event.decoded?.length ?? event.body.length) > TRANSFORM_BYTES_MAX)
      return Promise.resolve(transformError(`the payload has more than ${TRANSFORM_BYTES_MAX} bytes`))
    const { promise, resolve } = Promise.withResolvers<Evaluated>()
    const queue = this.#waiting.get(handler) ?? []
    queue.push({ task: taskOf(source, event), resolve })
    this.#waiting.set(handler, queue)
    this.#next()
    return promise
  }

  close(): void {
    this.#closed.abort()
    for (const queue of this.#waiting.values())
      for (const { resolve } of queue) resolve({ kind: 'unavailable', reason: 'the dispatcher ends' })
    this.#waiting.clear()
    for (const runner of this.#runners) runner.close()
  }

  #next(): void {
    for (const [handler, queue] of this.#waiting) {
      if (this.#underWay.has(handler)) continue
      const runner = this.#freeRunner()
      if (runner === null) return
      const first = queue.shift()
      // Set anew, it stands behind the others.
      this.#waiting.delete(handler)
      if (queue.length > 0) this.#waiting.set(handler, queue)
      if (first !== undefined) void this.#run(handler, runner, first)
    }
  }

  #freeRunner(): TransformRunner | null {
    const free = this.#runners.find(({ isBusy }) => !isBusy)
    if (free !== undefined) return free
    if (this.#runners.length >= PROCESSES_MAX) return null
    const runner = new TransformRunner()
    this.#runners.push(runner)
    return runner
  }

  async #run(handler: string, runner: TransformRunner, { task, resolve }: Waiting): Promise<void> {
    this.#underWay.add(handler)
    void this.#look()
    resolve(await runner.run(task))
    this.#underWay.delete(handler)
    this.#next()
  }

  /** Runs while anything is evaluated. */
  async #look(): Promise<void> {
    if (this.#isLooking) return
    this.#isLooking = true
    while (this.#underWay.size > 0 && !this.#closed.signal.aborted) {
      await this.#clock.sleep(LOOK_MS, this.#closed.signal)
      for (const runner of this.#runners) runner.look(LOOKS_MAX, TOO_LONG)
    }
    this.#isLooking = false
  }
}

function taskOf(source: string, event: EventRecord): TransformTask {
  const { id, type, subject, receivedAtMs, decoded, body, request } = event
  return {
    source,
    payload: decoded ?? body.toString('utf8'),
    event: { id, source: event.source, type, subject, received_at: new Date(receivedAtMs).toISOString() },
    headers: Object.fromEntries((request?.headers ?? []).map(([name, value]) => [name.toLowerCase(), value])),
  }
}
