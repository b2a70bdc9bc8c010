/**
 * Several Redis that fail over among themselves, as real local processes: a master with a replica and a Sentinel, and a
 * Cluster of three masters, the first of which has a replica.
 */
import { onRedis } from './redis-faults.ts'
import { startRedis, type RedisServer } from './redis.ts'
import { eventually } from '../installation.ts'
import { freePorts } from './local-process.ts'

/** How long a server is away before the others act; a loaded machine may act without need, which does no harm. */
const AWAY_MS = 2_000
const READY_MS_MAX = 60_000
const SLOTS = 16_384
const MASTERS = 3

export interface RedisGroup extends AsyncDisposable {
  /** `host:port` of the Sentinels, or of all nodes. */
  readonly addresses: readonly string[]
  /** The one that is to be killed. */
  readonly master: RedisServer
}

/** @throws ServiceUnavailableError */
export async function startSentinelGroup(name: string): Promise<RedisGroup> {
  await using started = new AsyncDisposableStack()
  const master = started.use(await startRedis())
  const replica = started.use(await startRedis({ args: ['--replicaof', '127.0.0.1', portOf(master)] }))
  await eventually('the replica follows', READY_MS_MAX, async () => {
    const info = await onRedis(replica, (client) => client.info('replication'))
    return info.includes('master_link_status:up') ? true : null
  })
  const watching = [
    `sentinel monitor ${name} 127.0.0.1 ${portOf(master)} 1`,
    `sentinel down-after-milliseconds ${name} ${AWAY_MS}`,
    `sentinel failover-timeout ${name} ${5 * AWAY_MS}`,
  ]
  const sentinel = started.use(await startRedis({ sentinel: watching }))
  await eventually('the Sentinel knows the replica', READY_MS_MAX, async () => {
    const info = await onRedis(sentinel, (client) => client.info('sentinel'))
    return info.includes('slaves=1') ? true : null
  })
  return grouped(started, master, [sentinel])
}

/** @throws ServiceUnavailableError */
export async function startCluster(): Promise<RedisGroup> {
  await using started = new AsyncDisposableStack()
  const buses = await freePorts(MASTERS + 1)
  const nodes: RedisServer[] = []
  for (const bus of buses) nodes.push(started.use(await startRedis({ args: clusterArgs(bus) })))
  const [first, ...others] = nodes
  if (first === undefined) throw new Error('a Cluster of nobody')
  for (const [index, node] of others.entries())
    await onRedis(node, (client) =>
      client.call('CLUSTER', 'MEET', '127.0.0.1', portOf(first), String(buses[0] ?? index)),
    )
  const share = Math.ceil(SLOTS / MASTERS)
  for (const [index, node] of nodes.slice(0, MASTERS).entries()) {
    const range = [index * share, Math.min(SLOTS, (index + 1) * share) - 1].map(String)
    await onRedis(node, (client) => client.call('CLUSTER', 'ADDSLOTSRANGE', ...range))
  }
  const id = String(await onRedis(first, (client) => client.call('CLUSTER', 'MYID')))
  const last = nodes[MASTERS] ?? first
  await eventually('the replica knows its master', READY_MS_MAX, () =>
    onRedis(last, (client) => client.call('CLUSTER', 'REPLICATE', id)).catch(() => null),
  )
  for (const node of nodes) await untilWhole(node)
  return grouped(started, first, nodes)
}

function clusterArgs(bus: number): readonly string[] {
  return [
    ...['--cluster-enabled', 'yes', '--cluster-port', String(bus)],
    ...['--cluster-node-timeout', String(AWAY_MS), '--cluster-replica-validity-factor', '0'],
  ]
}

/** It sees every slot served, and the replica. */
async function untilWhole(node: RedisServer): Promise<void> {
  await eventually('the Cluster is whole', READY_MS_MAX, async () => {
    const info = String(await onRedis(node, (client) => client.call('CLUSTER', 'INFO')))
    const nodes = String(await onRedis(node, (client) => client.call('CLUSTER', 'NODES')))
    return info.includes('cluster_state:ok') && /\bslave\b/.test(nodes) ? true : null
  })
}

function grouped(
  started: AsyncDisposableStack,
  master: RedisServer,
  asked: readonly RedisServer[],
): RedisGroup {
  const kept = started.move()
  return {
    addresses: asked.map((server) => `127.0.0.1:${portOf(server)}`),
    master,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

function portOf({ url }: Pick<RedisServer, 'url'>): string {
  return new URL(url).port
}
