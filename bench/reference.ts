/**
 * What the same machine does without hooktrail, in the same run: a bare server (reference-server.ts) in a thread of its
 * own, so that generator and server have a core each, as they have with hooktrail.
 */
import { once } from 'node:events'
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'

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
