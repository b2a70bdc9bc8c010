/**
 * What the same machine does without hooktrail, in the same run: a bare server (reference-server.ts) in a thread of its
 * own, so that generator and server have a core each, as they have with hooktrail.
 */
import { Admin, Producer } from '@platformatic/kafka'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { Pool } from 'undici'
import { BENCH_BODY } from './load.ts'

export interface Reference extends AsyncDisposable {
  readonly port: number
}

/** With a database a row is inserted for each request; null: nothing is stored. */
export async function startReference(databaseUrl: string | null): Promise<Reference> {
  const file = new URL(`./reference-server${extname(import.meta.filename)}`, import.meta.url)
  const worker = new Worker(file, { workerData: databaseUrl })
  const messages: readonly unknown[] = await once(worker, 'message')
  return {
    port: Number(messages[0]),
    [Symbol.asyncDispose]: async () => {
      await worker.terminate()
    },
  }
}

interface LoopOptions {
  readonly concurrency: number
  readonly durationMs: number
}

/** Requests of the size of an event by the HTTP client that deliveries use, a second. */
export async function clientLoop({ port, ...options }: LoopOptions & { port: number }): Promise<number> {
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections: options.concurrency })
  try {
    return await perSecond(options, async () => {
      const { body } = await pool.request({ method: 'POST', path: '/', body: BENCH_BODY })
      await body.dump()
    })
  } finally {
    await pool.close()
  }
}

/** One record of the size of an event a call, by the client that the log uses, a second. */
export async function produceLoop({
  brokers,
  ...options
}: LoopOptions & { brokers: readonly string[] }): Promise<number> {
  const client = { clientId: 'hooktrail-bench', bootstrapBrokers: [...brokers] }
  const topic = `hooktrail.bench.${randomUUID()}`
  const admin = new Admin(client)
  const producer = new Producer({ ...client, acks: -1 })
  const message = { topic, value: Buffer.from(BENCH_BODY) }
  try {
    await admin.createTopics({ topics: [{ topic, partitions: 3 }] })
    await producer.send({ messages: [message] })
    return await perSecond(options, async () => {
      await producer.send({ messages: [message] })
    })
  } finally {
    await producer.close()
    await admin.deleteTopics({ topics: [topic] })
    await admin.close()
  }
}

async function perSecond(
  { concurrency, durationMs }: LoopOptions,
  work: () => Promise<void>,
): Promise<number> {
  const startedAt = performance.now()
  let done = 0
  const worker = async (): Promise<void> => {
    while (performance.now() - startedAt < durationMs) {
      await work()
      done++
    }
  }
  await Promise.all(Array.from({ length: concurrency }, worker))
  return (done * 1000) / (performance.now() - startedAt)
}
