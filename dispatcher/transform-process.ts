/**
 * The process in which transforms are evaluated, one event at a time: what an expression does to it, it does to nobody
 * else. It has no environment, may write no file and start nothing, and its heap is small (transform-runner.ts). It ends
 * with its parent, also in the middle of an endless expression: a thread looks whether the parent is still there.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { isMainThread, Worker, workerData } from 'node:worker_threads'
import { messageOf } from '../core/error/message-of.ts'
import {
  compileTransform,
  transformError,
  type Transform,
  type Transformed,
} from '../core/match/transform.ts'
import { transformTask, type TransformAnswer } from './transform-messages.ts'

const PARENT_LOOK_MS = 1_000
const EXPRESSIONS_KEPT_MAX = 1_000

const compiled = new Map<string, Transform>()

function transformOf(source: string): Transform {
  const known = compiled.get(source)
  if (known !== undefined) return known
  if (compiled.size >= EXPRESSIONS_KEPT_MAX) compiled.clear()
  const transform = compileTransform(source)
  compiled.set(source, transform)
  return transform
}

async function evaluate(message: unknown): Promise<Transformed> {
  try {
    const { source, ...input } = transformTask.parse(message)
    return await transformOf(source)(input)
  } catch (error) {
    return transformError(messageOf(error))
  }
}

function tell(answer: TransformAnswer): void {
  process.send?.(answer)
}

async function endWithParent(parent: unknown): Promise<void> {
  while (process.ppid === parent) await sleep(PARENT_LOOK_MS)
  process.kill(process.pid, 'SIGKILL')
}

/** A signal of the terminal reaches the whole group; what is being delivered is still to be evaluated. */
function outliveSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => undefined)
}

if (isMainThread) {
  outliveSignals()
  new Worker(new URL(import.meta.url), { workerData: process.ppid }).unref()
  process.on('message', (message) => {
    void evaluate(message).then(tell)
  })
  tell({ kind: 'ready' })
} else {
  await endWithParent(workerData)
}
