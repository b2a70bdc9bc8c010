/**
 * The thread of dispatcher and archiver: what services-thread.ts starts. It asks the scheduler for less than ingress
 * gets, also for the processes of its own Postgres that work for it, so that under load webhooks are answered first and
 * delivered with what is left (never nothing: about a tenth where all want more than there is).
 */
import { setPriority } from 'node:os'
import { parentPort, type MessagePort } from 'node:worker_threads'
import { createLogger } from '../../adapters/system/logger.ts'
import { openContext } from './context.ts'
import { StoreServices } from './store-services.ts'
import { toPortable, type FromThread, type ThreadInput, type ToThread } from './thread-messages.ts'

const NICENESS = 10

class ServicesHost {
  readonly #port: MessagePort
  readonly #opened = new AsyncDisposableStack()
  readonly #stopping = new AbortController()
  #beginning: Promise<void> = Promise.resolve()
  #services: StoreServices | null = null

  constructor(port: MessagePort) {
    this.#port = port
  }

  hear(message: ToThread): void {
    switch (message.kind) {
      case 'start':
        this.#beginning = this.#begin(message.input).catch((error: unknown) => {
          this.#fail(error)
        })
        return
      case 'report':
        void this.#report(message.id)
        return
      case 'stop':
        void this.#stop()
        return
      default:
        message satisfies never
    }
  }

  async #begin({ names, serves, ...input }: ThreadInput): Promise<void> {
    const logger = createLogger()
    const { signal } = this.#stopping
    const context = this.#opened.use(await openContext({ ...input, niceness: NICENESS, logger, signal }))
    signal.addEventListener('abort', context.beginStop, { once: true })
    const onFailed = (reason: unknown): void => {
      this.#fail(reason)
    }
    this.#services = this.#opened.use(new StoreServices(context, { names, serves, onFailed }))
    await this.#services.begin()
    this.#tell({ kind: 'started' })
  }

  /** Before there is anything to tell, the asker's own bound answers. */
  async #report(id: number): Promise<void> {
    if (this.#services !== null) this.#tell({ kind: 'report', id, report: await this.#services.report() })
  }

  async #stop(): Promise<void> {
    this.#stopping.abort()
    await this.#beginning
    await this.#opened.disposeAsync()
    this.#port.close()
  }

  #fail(error: unknown): void {
    this.#tell({ kind: 'failed', error: toPortable(error) })
  }

  #tell(message: FromThread): void {
    this.#port.postMessage(message)
  }
}

if (parentPort === null) throw new TypeError('services-worker.ts runs as a thread')
// Of the calling thread on Linux; elsewhere it would be of the whole process.
if (process.platform === 'linux') setPriority(NICENESS)
const host = new ServicesHost(parentPort)
parentPort.on('message', (message: ToThread) => {
  host.hear(message)
})
