/**
 * The dispatcher's stage on what the sizes have for log and queue, so that one test shows the same of each: one box and
 * Postgres with S3 are the same to it, the full size has Kafka and Redis. Servers are started once for a test file.
 */
import { randomBytes } from 'node:crypto'
import { after, test } from 'node:test'
import { createBullmqJobQueue } from '../../adapters/bullmq/job-queue.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import { openDispatcherStage, type DispatcherStage, type StageOptions } from './dispatcher-stage.ts'
import { openKafkaStage } from './kafka-log.ts'
import { silentLogger } from './postgres.ts'
import { openTestKafka } from './services/kafka.ts'
import { startOrReason } from './services/s3-service.ts'
import { givenRedis } from './services/redis.ts'

export type OpenDispatcherStage = (handlers: StageOptions['handlers']) => Promise<DispatcherStage>

/** Made once a file: each of its tests runs on each, and is skipped with the reason where a server cannot be had. */
export async function dispatcherSizes(): Promise<
  (name: string, body: (open: OpenDispatcherStage) => Promise<void>) => void
> {
  const full = await startOrReason(openFull)
  if (typeof full !== 'string') after(() => full[Symbol.asyncDispose]())
  return (name, body) => {
    test(`${name}: one box, Postgres and S3`, () => body((handlers) => openDispatcherStage({ handlers })))
    if (typeof full === 'string') test(`${name}: full`, { skip: full })
    else test(`${name}: full`, () => body((handlers) => full.open(handlers)))
  }
}

async function openFull(): Promise<AsyncDisposable & { readonly open: OpenDispatcherStage }> {
  await using starting = new AsyncDisposableStack()
  const kafka = starting.use(await openTestKafka())
  const redis = starting.use(await givenRedis())
  const servers = starting.move()
  return {
    open: async (handlers) => {
      await using opening = new AsyncDisposableStack()
      const broker = opening.use(await openKafkaStage(kafka.brokers))
      const stage = opening.use(
        await openDispatcherStage({ handlers, kafka: broker, openQueue: hintQueueOn(redis.url) }),
      )
      const opened = opening.move()
      return { ...stage, [Symbol.asyncDispose]: () => opened.disposeAsync() }
    },
    [Symbol.asyncDispose]: () => servers.disposeAsync(),
  }
}

/** Hints in Redis, below a prefix of their own for each call. */
export function hintQueueOn(url: string): NonNullable<StageOptions['openQueue']> {
  return (store, config) =>
    createBullmqJobQueue(store, {
      url,
      prefix: `test-${randomBytes(6).toString('hex')}`,
      tls: null,
      concurrency: new Map(config.handlers.map(({ name, concurrency }) => [name, concurrency])),
      clock: systemClock,
      logger: silentLogger,
    })
}
