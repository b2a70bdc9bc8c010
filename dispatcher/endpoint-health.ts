/**
 * What the requests of this process say of each endpoint, and what is known of its breaker: judged here, opened by
 * breakers.ts. Whoever is late to hear of a change does no harm, since every take asks the store. A row a handler.
 */
import type { Clock } from '../core/clock.ts'
import { BreakerWindow, WINDOW_MS, type Judgement } from '../core/delivery/breaker-window.ts'
import type { SendEffect } from '../core/delivery/send-effect.ts'
import type { Breaker, BreakerState } from '../core/ports/breaker-store.ts'

interface Endpoint {
  readonly window: BreakerWindow
  state: BreakerState
  /** Why its breaker is to be opened. */
  opening: Opening | null
}

export interface Opening {
  readonly handler: string
  readonly reason: string
  readonly details: Judgement
}

export class EndpointHealth {
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #endpoints: ReadonlyMap<string, Endpoint>
  #told: (opening: Opening) => void = () => undefined

  constructor({ handlers, clock }: { handlers: readonly string[]; clock: Pick<Clock, 'monotonic'> }) {
    this.#clock = clock
    this.#endpoints = new Map(
      handlers.map((name) => [name, { window: new BreakerWindow(), state: 'closed', opening: null }]),
    )
  }

  /** Whom to tell at once; what he misses `openings` repeats. */
  onOpening(told: (opening: Opening) => void): void {
    this.#told = told
  }

  /** As far as this process has heard. */
  stateOf(handler: string): BreakerState {
    return this.#endpoints.get(handler)?.state ?? 'closed'
  }

  isClosed(handler: string): boolean {
    return this.stateOf(handler) === 'closed'
  }

  /** While the breaker is not closed only its probes count, and these are judged where they were begun. */
  note(handler: string, effect: SendEffect, errorClass: string | null): void {
    const endpoint = this.#endpoints.get(handler)
    if (endpoint?.state !== 'closed') return
    const now = this.#clock.monotonic()
    if (effect.kind === 'answered') endpoint.window.answered(now)
    if (effect.kind !== 'failed') return
    const judgement = endpoint.window.failed(now)
    if (judgement === null || endpoint.opening !== null) return
    endpoint.opening = openingOf(handler, judgement, errorClass)
    this.#told(endpoint.opening)
  }

  /** Breakers that the window says must open; asked again once they did. */
  openings(): readonly Opening[] {
    return [...this.#endpoints.values()].flatMap(({ opening }) => opening ?? [])
  }

  /** @param breakers all that are not closed. */
  see(breakers: readonly Pick<Breaker, 'handler' | 'state'>[]): void {
    const states = new Map(breakers.map(({ handler, state }) => [handler, state]))
    for (const handler of this.#endpoints.keys()) this.set(handler, states.get(handler) ?? 'closed')
  }

  set(handler: string, state: BreakerState): void {
    const endpoint = this.#endpoints.get(handler)
    if (endpoint === undefined) return
    if (state !== 'closed') endpoint.opening = null
    else if (endpoint.state !== 'closed') endpoint.window.reset(this.#clock.monotonic())
    endpoint.state = state
  }
}

function openingOf(handler: string, judgement: Judgement, errorClass: string | null): Opening {
  const { answered, failed } = judgement
  const last = errorClass === null ? '' : `, the last: ${errorClass}`
  const reason = `${failed} of ${failed + answered} requests failed within ${WINDOW_MS / 1_000} s${last}`
  return { handler, reason, details: judgement }
}
