/**
 * Dispatcher and archiver of `hooktrail start` in a thread of their own, seen from the main thread. Receiving and
 * answering webhooks needs a core for itself; what happens after the acknowledgement may wait. The thread opens its own
 * connections and talks to ingress through the log alone, exactly as a process of its own does.
 */
import { once } from 'node:events'
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { ServicesReport } from '../../api/health-routes.ts'
import { within } from '../../core/deadline.ts'
import type { Context } from './context.ts'
import type { StoreServicesOptions } from './store-services.ts'
import { fromPortable, type FromThread, type ToThread } from './thread-messages.ts'

/** Asked for by /health and /metrics, which must answer while the thread cannot. */
const REPORT_MS_MAX = 1_000

export class ServicesThread implements AsyncDisposable {
  readonly #context: Context
  readonly #options: StoreServicesOptions
  readonly #worker: Worker
  readonly #started = Promise.withResolvers<void>()
  readonly #exited: Promise<unknown>
  readonly #questions = new Map<number, (report: ServicesReport) => void>()
  #asked = 0
  #isStopping = false

  constructor(context: Context, options: StoreServicesOptions) {
    this.#context = context
    this.#options = options
    this.#started.promise.catch(() => undefined)
    // The same folder holds the sources of a clone and what was built from them.
    this.#worker = new Worker(new URL(`./services-worker${extname(import.meta.filename)}`, import.meta.url))
    this.#exited = once(this.#worker, 'exit')
    this.#worker.on('message', (message: FromThread) => {
      this.#hear(message)
    })
    this.#worker.on('error', (error) => {
      this.#fail(error)
    })
    this.#worker.on('exit', (code) => {
      if (!this.#isStopping) this.#fail(new Error(`the thread of the services ended with ${String(code)}`))
    })
  }

  async begin(): Promise<void> {
    const { config, home, connectionsMax, processId, postgres } = this.#context
    const { names, serves } = this.#options
    const local =
      postgres === null ? null : { url: postgres.url, dataDirectory: postgres.dataDirectory, done: null }
    const shared = { config, home, names, serves, connectionsMax, processId }
    this.#tell({ kind: 'start', input: { ...shared, postgres: local } })
    await this.#started.promise
  }

  /** Without an answer in time that is said instead: the thread is blocked, or has not begun. */
  async report(): Promise<ServicesReport> {
    const id = ++this.#asked
    const answer = Promise.withResolvers<ServicesReport>()
    this.#questions.set(id, answer.resolve)
    this.#tell({ kind: 'report', id })
    const { clock } = this.#context
    const report = await within(() => answer.promise, { ms: REPORT_MS_MAX, clock })
    this.#questions.delete(id)
    return report?.value ?? this.#silent()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true
    this.#tell({ kind: 'stop' })
    await this.#exited
  }

  #silent(): ServicesReport {
    const waitingFor = `its thread, which has not answered for ${REPORT_MS_MAX / 1_000} s`
    const services = this.#options.names.map((name) => ({ name, waitingFor }))
    return { services, archive: null, metrics: [] }
  }

  #hear(message: FromThread): void {
    switch (message.kind) {
      case 'started':
        this.#started.resolve()
        return
      case 'failed':
        this.#fail(fromPortable(message.error))
        return
      case 'report':
        this.#questions.get(message.id)?.(message.report)
        return
      default:
        message satisfies never
    }
  }

  #tell(message: ToThread): void {
    this.#worker.postMessage(message)
  }

  #fail(reason: unknown): void {
    this.#started.reject(reason)
    this.#options.onFailed(reason)
  }
}
