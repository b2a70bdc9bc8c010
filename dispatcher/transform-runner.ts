/**
 * One process that evaluates transforms, and the limits of it: an evaluation that takes too long is ended together with
 * its process, and one that needs too much memory ends it by itself. Neither concerns this process or the next event.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { extname } from 'node:path'
import { transformError, type Transformed } from '../core/match/transform.ts'
import { transformAnswer, type TransformTask } from './transform-messages.ts'

const HEAP_MEBIBYTES_MAX = 256
/** It may read files, since its modules are some; writing and starting processes are refused. */
const FLAGS = [
  `--max-old-space-size=${HEAP_MEBIBYTES_MAX}`,
  '--disallow-code-generation-from-strings',
  '--permission',
  '--allow-fs-read=*',
  '--allow-worker',
]

const TOO_MUCH = 'the expression ended its process twice, most likely for want of memory'

export type Evaluated =
  | Transformed
  /** There is no process to evaluate in. */
  | { readonly kind: 'unavailable'; readonly reason: string }

type Ended = Evaluated | { readonly kind: 'crashed' }

interface Running {
  readonly resolve: (ended: Ended) => void
  looks: number
}

export class TransformRunner {
  #child: ChildProcess | null = null
  #running: Running | null = null
  #isReady = false
  #isBusy = false

  get isBusy(): boolean {
    return this.#isBusy
  }

  /** One at a time. What ended its process gets another one once: somebody else may have ended it. */
  async run(task: TransformTask): Promise<Evaluated> {
    this.#isBusy = true
    const first = await this.#evaluate(task)
    const last = first.kind === 'crashed' ? await this.#evaluate(task) : first
    this.#isBusy = false
    return last.kind === 'crashed' ? transformError(TOO_MUCH) : last
  }

  async #evaluate(task: TransformTask): Promise<Ended> {
    const { promise, resolve } = Promise.withResolvers<Ended>()
    this.#running = { resolve, looks: 0 }
    const child = (this.#child ??= this.#start())
    child.send(task, (error) => {
      // A process that has just ended is told of by its end.
      if (error !== null && this.#child === child && child.connected)
        this.#end({ kind: 'unavailable', reason: error.message })
    })
    const ended = await promise
    this.#running = null
    return ended
  }

  /** To be called at a steady pace: an evaluation that has seen `looksMax` of these is ended. Pauses of the machine count once. */
  look(looksMax: number, detail: string): void {
    if (this.#running === null || !this.#isReady || ++this.#running.looks <= looksMax) return
    this.#end(transformError(detail))
  }

  close(): void {
    this.#end({ kind: 'unavailable', reason: 'the dispatcher ends' })
  }

  #start(): ChildProcess {
    const child = fork(new URL(`./transform-process${extname(import.meta.filename)}`, import.meta.url), [], {
      execArgv: FLAGS,
      env: {},
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    })
    child.on('message', (message) => {
      if (this.#child === child) this.#hear(message)
    })
    child.on('error', (error) => {
      if (this.#child === child) this.#end({ kind: 'unavailable', reason: error.message })
    })
    child.on('exit', (code, signal) => {
      if (this.#child !== child) return
      const reason = `the process ended (${signal ?? code})`
      this.#end(this.#isReady ? { kind: 'crashed' } : { kind: 'unavailable', reason })
    })
    return child
  }

  #hear(message: unknown): void {
    const answer = transformAnswer.safeParse(message)
    if (!answer.success) this.#end(transformError('the answer cannot be read'))
    else if (answer.data.kind === 'ready') this.#isReady = true
    else this.#running?.resolve(answer.data)
  }

  /** The next evaluation gets a new process. */
  #end(ended: Ended): void {
    const child = this.#child
    this.#child = null
    this.#isReady = false
    child?.kill('SIGKILL')
    this.#running?.resolve(ended)
  }
}
