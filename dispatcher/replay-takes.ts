/**
 * Jobs of the replays of one handler, for the runner that takes its live jobs: it asks here with slots that live traffic
 * left free. Replays take turns. How much of each is planned ahead is bounded here as well; figures come from the store
 * every now and then, in between what this process plans and finishes is added to them.
 */
import type { Clock } from '../core/clock.ts'
import type { TakenJob } from '../core/ports/delivery-store.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import type { OpenReplay, ReplayTake } from '../core/ports/replay-store.ts'

/** Available or running; planning goes on below half of it. What the payload cache holds beside live events. */
export const REPLAYED_JOBS_MAX = 1_000
/** Waiting for a retry. */
const REPLAYED_RETRYABLE_MAX = 50_000
/** After a look that found nothing to take: a rate, a bound, retries and live jobs change by themselves. */
const REST_MS = 100

interface Load {
  ready: number
  retryable: number
  reserved: number
  isHeld: boolean
}

export interface ReplayTakesOptions {
  readonly store: Pick<JobStore, 'takeReplayed'>
  readonly clock: Clock
}

export class ReplayTakes {
  readonly #options: ReplayTakesOptions
  /** By name, in the order of their turns. */
  #loads = new Map<string, Load>()
  #restsUntil = 0
  #woken = new AbortController()

  constructor(options: ReplayTakesOptions) {
    this.#options = options
  }

  /** Those that are running now. */
  follow(replays: readonly OpenReplay[]): void {
    const running = new Map(
      replays.filter(({ status }) => status === 'running').map((replay) => [replay.name, replay]),
    )
    const known = [...this.#loads.keys()].filter((name) => running.has(name))
    const isNew = running.size > known.length
    const names = [...known, ...[...running.keys()].filter((name) => !this.#loads.has(name))]
    this.#loads = new Map(names.map((name) => [name, this.#loadOf(name, running.get(name))]))
    if (isNew) this.wake()
  }

  /** Until a take may find something; Infinity while no replay runs. */
  waitMs(): number {
    if (this.#loads.size === 0) return Infinity
    return Math.max(0, this.#restsUntil - this.#options.clock.monotonic())
  }

  /** Aborted when `waitMs` became 0 meanwhile. */
  get woken(): AbortSignal {
    return this.#woken.signal
  }

  wake(): void {
    this.#restsUntil = 0
    const woken = this.#woken
    this.#woken = new AbortController()
    woken.abort()
  }

  /**
   * At most `slots` of all of them together; nothing while it rests. Where one cannot be asked, what the others gave is
   * returned, since it is taken: the next call meets the fault again.
   */
  async take({ slots, ...lease }: Omit<ReplayTake, 'name'>): Promise<readonly TakenJob[]> {
    if (this.waitMs() > 0) return []
    const jobs: TakenJob[] = []
    for (const name of [...this.#loads.keys()]) {
      if (jobs.length >= slots) break
      try {
        const take = { name, slots: slots - jobs.length, ...lease }
        jobs.push(...(await this.#options.store.takeReplayed(take)))
      } catch (error) {
        if (jobs.length === 0) throw error
        return jobs
      }
      this.#moveBack(name)
    }
    if (jobs.length === 0) this.#restsUntil = this.#options.clock.monotonic() + REST_MS
    return jobs
  }

  admits(name: string, jobs: number): boolean {
    const load = this.#loads.get(name)
    if (load === undefined) return false
    const ahead = load.ready + load.reserved + (load.isHeld ? 0 : jobs)
    load.isHeld =
      ahead > (load.isHeld ? REPLAYED_JOBS_MAX / 2 : REPLAYED_JOBS_MAX) ||
      load.retryable >= REPLAYED_RETRYABLE_MAX
    return !load.isHeld
  }

  reserve(name: string, jobs: number): void {
    this.#change(name, (load) => (load.reserved += jobs))
  }

  planned(name: string, jobs: number): void {
    this.#change(name, (load) => (load.ready += jobs))
  }

  /** Whatever became of it. */
  finished(name: string): void {
    this.#change(name, (load) => (load.ready -= 1))
    this.wake()
  }

  #loadOf(name: string, replay: OpenReplay | undefined): Load {
    const { ready = 0, retryable = 0 } = replay ?? {}
    const { reserved = 0, isHeld = false } = this.#loads.get(name) ?? {}
    return { ready, retryable, reserved, isHeld }
  }

  /** The next take begins with another one. */
  #moveBack(name: string): void {
    const load = this.#loads.get(name)
    if (load === undefined || !this.#loads.delete(name)) return
    this.#loads.set(name, load)
  }

  #change(name: string, change: (load: Load) => void): void {
    const load = this.#loads.get(name)
    if (load !== undefined) change(load)
  }
}
