/**
 * What the server must be like (lesson 11): one that evicts keys takes parts of a queue away, after which it stalls
 * without a word. Read from INFO, which managed servers allow where CONFIG is refused.
 */
import { Cluster, type Redis } from 'ioredis'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { Logger } from '../../core/log.ts'
import type { RedisClient } from './redis-client.ts'

/** Each server of a Cluster that may hold keys. @throws QUEUE_EVICTS, and what the client throws */
export async function requireKeepingServers(client: RedisClient, deps: { logger: Logger }): Promise<void> {
  const servers = client instanceof Cluster ? client.nodes('master') : [client]
  await Promise.all(servers.map((server) => requireKeepingServer(server, deps)))
}

async function requireKeepingServer(
  client: Pick<Redis, 'info'>,
  { logger }: { logger: Logger },
): Promise<void> {
  const [memory, persistence] = await Promise.all([client.info('memory'), client.info('persistence')])
  const policy = fieldOf(memory, 'maxmemory_policy')
  if (policy !== 'noeviction') throw new HooktrailError('QUEUE_EVICTS', { 'maxmemory-policy': policy })
  if (fieldOf(persistence, 'aof_enabled') !== '1')
    logger.info({}, 'Redis keeps no append-only file: after its restart waiting hints are offered again')
}

function fieldOf(info: string, name: string): string | null {
  return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? null
}
