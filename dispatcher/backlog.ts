/**
 * Bounds on open jobs per handler (delivery §1): a handler over a bound, paused, disabled or with an open breaker is not
 * planned for and stays behind at its own position, so its backlog lies in the log and the table of open jobs stays small
 * (I6). With an open breaker a step is planned when nothing is left that a probe could take.
 * Figures come from the store every now and then; in between, what this process plans and finishes is added to them.
 */
import type { Logger } from '../core/log.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import type { Metrics } from '../core/ports/metrics.ts'
import type { EndpointHealth } from './endpoint-health.ts'

/** available + running; planning goes on below half of it. */
export const OPEN_JOBS_MAX = 2_000
/** Waiting for a retry; planning pauses and says so. */
export const RETRYABLE_JOBS_MAX = 200_000
const POLL_MS = 1_000
const POLL_HELD_MS = 200

interface Load {
  open: number
  retryable: number
  reserved: number
  active: boolean
  held: 'open_jobs' | 'retry_backlog' | 'breaker' | null
}

export interface BacklogOptions {
  readonly store: Pick<JobStore, 'openJobs' | 'handlers'>
  readonly handlers: readonly string[]
  readonly endpoints: Pick<EndpointHealth, 'isClosed'>
  /** Default: OPEN_JOBS_MAX. */
  readonly openJobsMax?: number
  readonly logger: Logger
  readonly metrics: Metrics
}

export class Backlog {
  readonly #options: BacklogOptions
  readonly #loads: ReadonlyMap<string, Load>
  #room = new AbortController()

  constructor(options: BacklogOptions) {
    this.#options = options
    const empty = (): Load => ({ open: 0, retryable: 0, reserved: 0, active: true, held: null })
    this.#loads = new Map(options.handlers.map((name) => [name, empty()]))
  }

  /** May this many more jobs be planned for the handler? */
  admits(handler: string, jobs: number): boolean {
    const load = this.#loads.get(handler)
    if (load?.active !== true) return false
    return this.#judge(handler, load, jobs) === null
  }

  /** Aborted when a handler that was kept behind may go on: whoever waits for records has something else to do. */
  get room(): AbortSignal {
    return this.#room.signal
  }

  /** Keeps room for a step that is being planned; `settle` gives it back. */
  reserve(handlers: readonly string[], jobs: number): void {
    for (const handler of handlers) this.#change(handler, (load) => (load.reserved += jobs))
  }

  settle(handlers: readonly string[], jobs: number): void {
    for (const handler of handlers)
      this.#change(handler, (load) => {
        load.reserved -= jobs
        this.#release(handler, load)
      })
  }

  planned(handler: string, jobs: number): void {
    this.#change(handler, (load) => (load.open += jobs))
  }

  /** A job left the states available and running. */
  finished(handler: string): void {
    const load = this.#loads.get(handler)
    if (load === undefined) return
    load.open -= 1
    this.#release(handler, load)
  }

  async step(): Promise<number> {
    const [open, views] = await Promise.all([this.#options.store.openJobs(), this.#options.store.handlers()])
    const openOf = new Map(open.map((row) => [row.handler, row]))
    const statusOf = new Map(views.map(({ handler, status }) => [handler, status]))
    for (const [handler, load] of this.#loads) {
      const row = openOf.get(handler) ?? { available: 0, running: 0, retryable: 0 }
      load.open = row.available + row.running
      load.retryable = row.retryable
      const wasActive = load.active
      load.active = (statusOf.get(handler) ?? 'active') === 'active'
      if (load.active && !wasActive) this.#announceRoom()
      this.#release(handler, load)
      for (const state of ['available', 'running', 'retryable'] as const)
        this.#options.metrics.set('open_jobs', { handler, state }, row[state])
    }
    const isFull = [...this.#loads.values()].some(
      ({ held }) => held === 'open_jobs' || held === 'retry_backlog',
    )
    return isFull ? POLL_HELD_MS : POLL_MS
  }

  #release(handler: string, load: Load): void {
    if (load.held !== null && this.#judge(handler, load, 0) === null) this.#announceRoom()
  }

  #announceRoom(): void {
    const room = this.#room
    this.#room = new AbortController()
    room.abort()
  }

  #judge(handler: string, load: Load, jobs: number): Load['held'] {
    const held = load.held
    const open = load.open + load.reserved + (held === null ? jobs : 0)
    const bound = this.#options.openJobsMax ?? OPEN_JOBS_MAX
    const openMax = held === null ? bound : bound / 2
    const retryableMax = held === 'retry_backlog' ? RETRYABLE_JOBS_MAX / 2 : RETRYABLE_JOBS_MAX
    if (load.retryable >= retryableMax) load.held = 'retry_backlog'
    else if (!this.#options.endpoints.isClosed(handler))
      load.held = load.open + load.reserved > 0 ? 'breaker' : null
    else load.held = open > openMax ? 'open_jobs' : null
    if (load.held === 'retry_backlog' && held !== 'retry_backlog')
      this.#options.logger.warn({ handler, retryable: load.retryable }, 'retry_backlog: planning pauses')
    return load.held
  }

  #change(handler: string, change: (load: Load) => void): void {
    const load = this.#loads.get(handler)
    if (load !== undefined) change(load)
  }
}
