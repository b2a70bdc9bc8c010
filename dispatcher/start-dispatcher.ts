/**
 * The dispatcher: plans, takes, delivers, records, reaps and relays. Everything it does is a loop around a bounded
 * step, and every loop outlives an outage of log or store. Stopping drains: takes end first, then what was sent is
 * written, and what is still open after `worker.drain_timeout`, or when the store was given up, becomes `unknown` by its
 * lease.
 */
import { randomInt, randomUUID } from 'node:crypto'
import type { Config } from '../core/config/config.ts'
import type { Service } from '../core/service.ts'
import { composeDispatcher, type Dispatcher, type DispatcherDeps } from './compose-dispatcher.ts'
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
  readonly #waits = new WaitList()
  readonly #stop = new AbortController()
  readonly #giveUp = new AbortController()

  constructor(config: Config, deps: DispatcherDeps) {
    this.#config = config
    this.#deps = deps
    deps.abandoned?.addEventListener('abort', () => {
      this.#giveUp.abort()
    })
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
    const { clock, logger } = this.#deps
    const context: LoopContext = { clock, logger, waits: this.#waits }
    const dispatcher = await this.#compose(context)
    if (dispatcher === null) return
    const broken = Promise.withResolvers<never>()
    dispatcher.broken.catch(broken.reject)
    const loops = dispatcher.loops.map((loop) => runLoop(loop, context, this.#stop.signal))
    try {
      await Promise.race([Promise.all(loops), broken.promise])
    } finally {
      this.#stop.abort()
      await Promise.allSettled(loops)
      await this.#drain(dispatcher)
    }
  }

  /** Topics and positions must exist before anything runs; an outage at start is waited for, too. */
  async #compose(context: LoopContext): Promise<Dispatcher | null> {
    let dispatcher: Dispatcher | null = null
    const ready = new AbortController()
    const step = async (): Promise<number> => {
      dispatcher = await composeDispatcher(this.#config, {
        ...this.#deps,
        random: this.#deps.random ?? (() => randomInt(RANDOM_STEPS) / RANDOM_STEPS),
        owner: randomUUID(),
        waits: this.#waits,
        giveUp: this.#giveUp.signal,
      })
      ready.abort()
      return 0
    }
    await runLoop({ name: 'start', step }, context, AbortSignal.any([this.#stop.signal, ready.signal]))
    return dispatcher
  }

  async #drain(dispatcher: Dispatcher): Promise<void> {
    const drained = new AbortController()
    const timeout = this.#deps.clock.sleep(this.#config.worker.drainTimeoutMs, drained.signal).then(() => {
      this.#giveUp.abort()
    })
    await Promise.all(dispatcher.runners.map((runner) => runner.drained(this.#giveUp.signal)))
    drained.abort()
    await timeout
    await dispatcher.close()
  }
}
