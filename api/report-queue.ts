/**
 * One report at a time: it reads everything that is held. Others wait, few and in order; equal ones that wait share the
 * next run, never one that has begun, whose snapshot is older than the question. A report is given up when everybody
 * who asked for it has gone, or when it takes too long, also where the database hangs with its own timeouts.
 */
import type { Clock } from '../core/clock.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import type { ReportWindow } from '../core/ports/report-store.ts'
import type { Report } from './report.ts'

export const REPORTS_WAITING_MAX = 4
export const REPORT_MS_MAX = 120_000

type MakeReport = (window: ReportWindow, signal: AbortSignal) => Promise<Report>

interface Turn {
  readonly window: ReportWindow
  readonly made: PromiseWithResolvers<Report>
  readonly givenUp: AbortController
  /** Who still waits for it. */
  askers: number
}

export class ReportQueue {
  readonly #clock: Clock
  readonly #make: MakeReport
  /** By window, in the order of asking. */
  readonly #waiting = new Map<string, Turn>()
  #isRunning = false

  constructor(clock: Clock, make: MakeReport) {
    this.#clock = clock
    this.#make = make
  }

  /** `gone` aborts when the asker has left. @throws API_BUSY, API_REPORT_GIVEN_UP, and what making it throws */
  async ask(window: ReportWindow, gone: AbortSignal): Promise<Report> {
    const key = JSON.stringify(window)
    const turn = this.#waiting.get(key) ?? this.#enqueue(key, window)
    turn.askers += 1
    const leave = (): void => {
      turn.askers -= 1
      if (turn.askers > 0) return
      if (this.#waiting.get(key) === turn) this.#waiting.delete(key)
      giveUp(turn)
    }
    gone.addEventListener('abort', leave, { once: true })
    void this.#run()
    try {
      return await turn.made.promise
    } finally {
      gone.removeEventListener('abort', leave)
    }
  }

  #enqueue(key: string, window: ReportWindow): Turn {
    if (this.#waiting.size >= REPORTS_WAITING_MAX) throw new HooktrailError('API_BUSY')
    const turn = {
      window,
      made: Promise.withResolvers<Report>(),
      givenUp: new AbortController(),
      askers: 0,
    }
    this.#waiting.set(key, turn)
    return turn
  }

  async #run(): Promise<void> {
    if (this.#isRunning) return
    this.#isRunning = true
    // A map goes on with what is added meanwhile.
    for (const [key, turn] of this.#waiting) {
      this.#waiting.delete(key)
      await this.#runTurn(turn)
    }
    this.#isRunning = false
  }

  async #runTurn(turn: Turn): Promise<void> {
    const ended = new AbortController()
    void this.#clock.sleep(REPORT_MS_MAX, ended.signal).then(() => {
      giveUp(turn)
    })
    await this.#make(turn.window, turn.givenUp.signal).then(turn.made.resolve, turn.made.reject)
    ended.abort()
  }
}

/** Rejects first, so that whoever still asks is told why, and not what became of the query. */
function giveUp({ made, givenUp }: Turn): void {
  made.reject(new HooktrailError('API_REPORT_GIVEN_UP'))
  givenUp.abort()
}
