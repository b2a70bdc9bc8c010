/**
 * The dispatcher: plans, takes, delivers, records, reaps and relays. Everything it does is a loop around a bounded
 * step, and every loop outlives an outage of log or store. Stopping drains: takes end first, then what was sent is
 * written, and what is still open after `worker.drain_timeout`, or when the store was given up, becomes `unknown` by its
 * lease. Where topics have got other ids it drains in the same way, and everything is composed again.
 */
import { randomInt, randomUUID } from 'node:crypto'
import type { Config } from '../core/config/config.ts'
import { NEVER } from '../core/deadline.ts'
import type { Service } from '../core/service.ts'
import { composeDispatcher, type Dispatcher } from './compose-dispatcher.ts'
import type { ComposeDeps, DispatcherDeps } from './dispatcher-deps.ts'
import { runLoop, type LoopContext } from './loop.ts'
import { WaitList } from './wait-list.ts'

const RANDOM_STEPS = 2 ** 32

export function startDispatcher(config: Config, deps: DispatcherDeps): Promise<Service> {
  return Promise.resolve(new DispatcherService(config, deps))
}

class DispatcherService implements Service {
  readonly done: Promise<void>
  readonly #config: Config
  readonly #deps: DispatcherDeps
  readonly #stop = new AbortController()
  #waits = new WaitList()

  constructor(config: Config, deps: DispatcherDeps) {
    this.#config = config
    this.#deps = deps
    this.done = this.#run()
    // Whoever awaits `done` sees the reason; nobody has to.
    this.done.catch(() => undefined)
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.done.catch(() => undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  waitingFor(): string | null {
    return this.#waits.text()
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) await this.#round()
  }

  /** From one composition to the next; mostly there is one, as long as the process. */
  async #round(): Promise<void> {
    const { clock, logger, abandoned = NEVER } = this.#deps
    const waits = new WaitList()
    const renewal = new AbortController()
    this.#waits = waits
    const context: LoopContext = { clock, logger, waits }
    const giveUp = new AbortController()
    const dispatcher = await this.#compose(context, {
      giveUp: AbortSignal.any([giveUp.signal, abandoned]),
      renew: () => {
        renewal.abort()
      },
    })
    if (dispatcher === null) return
    const broken = Promise.withResolvers<never>()
    dispatcher.broken.catch(broken.reject)
    const ending = AbortSignal.any([this.#stop.signal, renewal.signal])
    const loops = dispatcher.loops.map((loop) => runLoop(loop, context, ending))
    try {
      await Promise.race([Promise.all(loops), broken.promise])
    } finally {
      renewal.abort()
      await Promise.allSettled(loops)
      await this.#drain(dispatcher, giveUp)
    }
  }

  /** Topics and positions must exist before anything runs; an outage at start is waited for, too. */
  async #compose(
    context: LoopContext,
    round: Pick<ComposeDeps, 'giveUp' | 'renew'>,
  ): Promise<Dispatcher | null> {
    let dispatcher: Dispatcher | null = null
    const ready = new AbortController()
    const step = async (): Promise<number> => {
      dispatcher = await composeDispatcher(this.#config, {
        ...this.#deps,
        random: this.#deps.random ?? (() => randomInt(RANDOM_STEPS) / RANDOM_STEPS),
        owner: randomUUID(),
        waits: context.waits,
        ...round,
      })
      ready.abort()
      return 0
    }
    await runLoop({ name: 'start', step }, context, AbortSignal.any([this.#stop.signal, ready.signal]))
    return dispatcher
  }

  async #drain(dispatcher: Dispatcher, giveUp: AbortController): Promise<void> {
    const { clock, abandoned = NEVER } = this.#deps
    const drained = new AbortController()
    const timeout = clock.sleep(this.#config.worker.drainTimeoutMs, drained.signal).then(() => {
      giveUp.abort()
    })
    const given = AbortSignal.any([giveUp.signal, abandoned])
    await Promise.all(dispatcher.runners.map((runner) => runner.drained(given)))
    drained.abort()
    await timeout
    await dispatcher.close()
  }
}
