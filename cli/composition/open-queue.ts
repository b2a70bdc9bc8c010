/** The queue that the configuration names: the job store itself, or hints in Redis, whose client is loaded only then. */
import { createPostgresJobQueue } from '../../adapters/postgres/job-queue.ts'
import type { JobQueue } from '../../core/ports/job-queue.ts'
import type { Context } from './context.ts'
import { tlsOptions } from './tls-options.ts'

/** @throws QUEUE_EVICTS, QUEUE_REFUSED; a Redis that does not answer is waited for by those who take. */
export async function openQueue(context: Context, storeId: string): Promise<JobQueue & AsyncDisposable> {
  const { config, database, store } = context
  const { redis } = config.queue
  if (redis === null) return createPostgresJobQueue(database, store, context)
  const { createBullmqJobQueue } = await import('../../adapters/bullmq/job-queue.ts')
  return createBullmqJobQueue(store, {
    ...context,
    ...redis,
    tls: tlsOptions(redis.tls),
    // Two installations that share a server must not take each other's hints.
    prefix: `${config.log.topicPrefix}-${storeId}`,
    concurrency: new Map(config.handlers.map(({ name, concurrency }) => [name, concurrency])),
  })
}
