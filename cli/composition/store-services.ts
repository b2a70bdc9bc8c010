/**
 * The services that work on the database: they begin when it is prepared. Until then /health says what they wait for.
 * Stopping ends the waiting, then the dispatcher, then the archiver (which archives the last deliveries), then the log.
 */
import type { ServicesReport } from '../../api/health-routes.ts'
import type { ArchiverService } from '../../archiver/archiver.ts'
import type { Service } from '../../core/service.ts'
import { startDispatcher } from '../../dispatcher/start-dispatcher.ts'
import type { Context } from './context.ts'
import { openArchiver } from './open-archiver.ts'
import { prepareStores, waitForStores } from './prepare-stores.ts'

export type StoreServiceName = 'dispatcher' | 'archiver'

export interface StoreServicesOptions {
  /** None of them for a process that only needs the stores prepared. */
  readonly names: readonly StoreServiceName[]
  /** Called when a service cannot go on. */
  readonly onFailed: (reason: unknown) => void
}

export class StoreServices implements AsyncDisposable {
  readonly #context: Context
  readonly #options: StoreServicesOptions
  readonly #stack = new AsyncDisposableStack()
  readonly #stopping = new AbortController()
  #waitsFor = 'the database'
  #isPrepared = false
  #began: Promise<void> = Promise.resolve()
  #dispatcher: Service | null = null
  #archiver: ArchiverService | null = null

  constructor(context: Context, options: StoreServicesOptions) {
    this.#context = context
    this.#options = options
  }

  /** Its own Postgres runs already: then the start waits for the rest. Another database may come later. */
  async begin(): Promise<void> {
    const began = this.#begin()
    this.#began = began.catch(() => undefined)
    if (this.#context.postgres !== null) await began
    else began.catch(this.#options.onFailed)
  }

  get isPrepared(): boolean {
    return this.#isPrepared
  }

  async report(): Promise<ServicesReport> {
    return {
      services: this.#options.names.map((name) => ({ name, waitingFor: this.waitingFor(name) })),
      archive: this.#archiver?.status() ?? null,
      metrics: [await this.#context.metrics.samples()],
    }
  }

  /** What `name` waits for; null when it runs. */
  waitingFor(name: string): string | null {
    if (!this.#isPrepared) return this.#waitsFor
    if (name === 'dispatcher') return this.#dispatcher?.waitingFor() ?? null
    return name === 'archiver' ? (this.#archiver?.waitingFor() ?? null) : null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    await this.#began
    await this.#stack.disposeAsync()
  }

  async #begin(): Promise<void> {
    const { signal } = this.#stopping
    const stores =
      this.#context.postgres === null
        ? await waitForStores(this.#context, signal, (line) => {
            this.#waitsFor = line
          })
        : await prepareStores(this.#context)
    if (stores === null) return
    this.#stack.use(stores.log)
    if (this.#options.names.includes('archiver') && !signal.aborted) {
      this.#archiver = this.#keep(await openArchiver(this.#context, stores.identity.archiveId))
    }
    if (this.#options.names.includes('dispatcher') && !signal.aborted) {
      this.#dispatcher = this.#keep(await startDispatcher(this.#context.config, this.#context))
    }
    this.#isPrepared = true
  }

  #keep<S extends Service>(service: S): S {
    service.done.catch(this.#options.onFailed)
    return this.#stack.use(service)
  }
}
