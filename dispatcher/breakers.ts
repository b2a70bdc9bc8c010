/**
 * Opens breakers, and closes them by probes (delivery §6). Any dispatcher may: each change is a compare-and-swap, and
 * every take asks the store, so that a late one can neither send to an open endpoint nor join a round that is over. The
 * winner of a round's beginning sends its probes and judges them; when it dies the round's time passes and another
 * begins anew. What is refused costs no attempt; a probe is an attempt like any other.
 */
import type { Clock } from '../core/clock.ts'
import {
  FIRST_PROBES,
  nextStep,
  pauseMs,
  type RampStep,
  type RoundResult,
} from '../core/delivery/breaker-ramp.ts'
import { FAILED_SHARE } from '../core/delivery/breaker-window.ts'
import type { SendEffect } from '../core/delivery/send-effect.ts'
import { messageOf } from '../core/error/message-of.ts'
import type { Logger } from '../core/log.ts'
import type { Breaker, BreakerChange, BreakerState, BreakerStore } from '../core/ports/breaker-store.ts'
import type { JobQueue } from '../core/ports/job-queue.ts'
import type { DeliveryStore } from '../core/ports/delivery-store.ts'
import type { Metrics } from '../core/ports/metrics.ts'
import type { EndpointHealth, Opening } from './endpoint-health.ts'
import type { FruitlessHandlers } from './fruitless-handlers.ts'
import type { HandlerRunner, Probing } from './handler-runner.ts'

/** How late a process may hear of a change. */
const POLL_MS = 1_000
const POLL_MS_MIN = 20
/** A round begins no probe later than this: who has fewer jobs is judged by those. */
export const ROUND_MS = 5_000
/** While a round waits for jobs. */
const LOOK_MS = 200
const STATE_VALUES: Readonly<Record<BreakerState, number>> = { closed: 0, probing: 1, open: 2 }

type ServedRunner = Pick<HandlerRunner, 'probing' | 'leaseMs'>

export interface BreakersOptions {
  readonly store: BreakerStore & Pick<DeliveryStore, 'takeProbes'>
  readonly endpoints: EndpointHealth
  readonly fruitless: FruitlessHandlers
  /** Of all handlers of the configuration. */
  readonly concurrency: ReadonlyMap<string, number>
  /** Of those that are served here. */
  readonly runners: ReadonlyMap<string, ServedRunner>
  readonly queue: Pick<JobQueue, 'offer'>
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
}

export class Breakers {
  readonly #options: BreakersOptions
  readonly #rounds = new Map<string, Promise<void>>()

  constructor(options: BreakersOptions) {
    this.#options = options
    options.endpoints.onOpening((opening) => {
      this.#open(opening).catch((error: unknown) => {
        const { handler } = opening
        options.logger.debug({ handler, err: error }, 'a breaker was not opened; it is tried again')
      })
    })
  }

  /** Rounds go on behind it. Resolves with the milliseconds until the next. */
  async step(signal: AbortSignal): Promise<number> {
    const { store, endpoints, fruitless } = this.#options
    for (const opening of endpoints.openings()) await this.#open(opening)
    const rows = await store.breakers()
    const troubled = rows.filter(({ state }) => state !== 'closed')
    endpoints.see(troubled)
    this.#measure()
    await fruitless.step(rows)
    for (const breaker of troubled) if (breaker.waitMs <= 0) await this.#begin(breaker, signal)
    const waits = troubled.map(({ waitMs }) => waitMs).filter((ms) => ms > 0)
    return Math.max(POLL_MS_MIN, Math.min(POLL_MS, ...waits))
  }

  /** Resolves when no round of this process is under way. */
  async settled(): Promise<void> {
    await Promise.all(this.#rounds.values())
  }

  async #open({ handler, reason, details }: Opening): Promise<void> {
    const { store, endpoints, logger } = this.#options
    const isFirst = await store.openBreaker({ handler, reason, details: { ...details }, pauseMs: pauseMs(0) })
    endpoints.set(handler, 'open')
    if (isFirst)
      logger.error({ handler, reason }, 'circuit_opened: nothing is sent to the handler but probes')
  }

  #measure(): void {
    const { concurrency, endpoints, metrics } = this.#options
    for (const handler of concurrency.keys())
      metrics.set('circuit_state', { handler }, STATE_VALUES[endpoints.stateOf(handler)])
  }

  async #begin({ handler, version }: Breaker, signal: AbortSignal): Promise<void> {
    const { store, runners } = this.#options
    const runner = runners.get(handler)
    if (runner === undefined || this.#rounds.has(handler)) return
    const roundMs = ROUND_MS + runner.leaseMs
    const round = { kind: 'begin', handler, version, probes: FIRST_PROBES, roundMs } as const
    const breaker = await store.changeBreaker(round)
    if (breaker === null) return
    const ramp = this.#ramp(breaker, runner, signal).catch((error: unknown) => {
      const { logger } = this.#options
      logger.warn(
        { handler, reason: messageOf(error) },
        'a round of probes was given up; another begins later',
      )
    })
    this.#rounds.set(
      handler,
      ramp.finally(() => this.#rounds.delete(handler)),
    )
  }

  /** Round after round until it closes or opens again. */
  async #ramp(begun: Breaker, runner: ServedRunner, signal: AbortSignal): Promise<void> {
    const { store, endpoints, concurrency } = this.#options
    endpoints.set(begun.handler, 'probing')
    using probing = runner.probing()
    for (let breaker: Breaker | null = begun; breaker?.state === 'probing';) {
      const round: Breaker = breaker
      const result = await this.#round(round, probing, signal)
      // A stop says nothing of the endpoint: whoever comes next need not wait.
      const next: RampStep = signal.aborted
        ? { kind: 'reopen', pauseMs: 0, failures: round.failures }
        : nextStep(round, result, concurrency.get(round.handler) ?? 1)
      breaker = await store.changeBreaker(changeOf(round, next, ROUND_MS + runner.leaseMs))
      if (breaker !== null) this.#changed(breaker, result)
    }
  }

  /** Sends the probes of one round; fewer where jobs do not come, or where enough failed. */
  async #round(
    { handler, version, probes }: Breaker,
    probing: Probing,
    signal: AbortSignal,
  ): Promise<RoundResult> {
    const { store, clock } = this.#options
    const endsAt = clock.monotonic() + ROUND_MS
    const sends: Promise<void>[] = []
    const result = { passed: 0, failed: 0 }
    const count = (effect: SendEffect | null): void => {
      if (effect?.kind === 'failed') result.failed += 1
      else if (effect !== null && effect.kind !== 'none') result.passed += 1
    }
    while (sends.length < probes && result.failed < probes * FAILED_SHARE && !signal.aborted) {
      const leftMs = endsAt - clock.monotonic()
      if (leftMs <= 0) break
      const most = probes - sends.length
      const sent = await probing.send(
        { most, waitMsMax: leftMs, take: (lease) => store.takeProbes({ handler, version, ...lease }) },
        signal,
      )
      if (sent.length === 0) await clock.sleep(Math.min(LOOK_MS, leftMs), signal)
      sends.push(...sent.map((end) => end.then(count)))
    }
    await Promise.all(sends)
    return result
  }

  #changed({ handler, state, waitMs }: Breaker, result: RoundResult): void {
    const { endpoints, queue, logger } = this.#options
    endpoints.set(handler, state)
    if (state === 'open') logger.info({ handler, ...result, next_ms: Math.round(waitMs) }, 'probes failed')
    if (state !== 'closed') return
    logger.info({ handler }, 'circuit_closed: the handler answers again')
    // Takers wait, here and in other processes: what they asked for was refused.
    queue.offer(handler, []).catch((error: unknown) => {
      logger.debug({ handler, err: error }, 'takers were not woken; they look by themselves')
    })
  }
}

function changeOf({ handler, version }: Breaker, next: RampStep, roundMs: number): BreakerChange {
  return next.kind === 'widen' ? { ...next, handler, version, roundMs } : { ...next, handler, version }
}
