/** What happens to a Redis that holds hints: emptied, empty after a restart, put back to an older copy. */
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import type { RedisServer } from './redis.ts'

export async function onRedis<T>(
  { url }: Pick<RedisServer, 'url'>,
  run: (client: Redis) => Promise<T>,
): Promise<T> {
  const client = new Redis(url)
  try {
    return await run(client)
  } finally {
    client.disconnect()
  }
}

export async function flush(redis: RedisServer): Promise<void> {
  await onRedis(redis, (client) => client.flushall())
}

export async function restartEmpty(redis: RedisServer): Promise<void> {
  await redis.kill('SIGKILL')
  await rm(dataOf(redis), { recursive: true, force: true })
  await redis.restart()
}

export async function killAndRestart(redis: RedisServer): Promise<void> {
  await redis.kill('SIGKILL')
  await redis.restart()
}

/** Stops it for the moment of copying. @returns what puts the copy back under it */
export async function takeCopy(redis: RedisServer): Promise<() => Promise<void>> {
  const copy = join(redis.folder, 'copy')
  await redis.kill('SIGTERM')
  await cp(dataOf(redis), copy, { recursive: true })
  await redis.restart()
  return async () => {
    await redis.kill('SIGKILL')
    await rm(dataOf(redis), { recursive: true })
    await cp(copy, dataOf(redis), { recursive: true })
    await redis.restart()
  }
}

function dataOf({ folder }: RedisServer): string {
  return join(folder, 'appendonlydir')
}
