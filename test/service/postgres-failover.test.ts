/**
 * Behind one address another server answers, while connections to the first one live on, as in a failover that closes
 * nothing: what was meant for the first is not done on the other, and nothing is done on the first any more.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rename, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Database } from '../../adapters/postgres/database.ts'
import { openDatabase } from '../../adapters/postgres/pool.ts'
import { onServer } from '../../adapters/postgres/servers.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import { silentLogger, startTestCluster } from '../support/postgres.ts'
import { startTcpProxy } from '../support/services/tcp-proxy.ts'

/** As servers.ts asks for it. */
const SERVER = `SELECT pg_postmaster_start_time() || '/' || oid AS server
  FROM pg_database WHERE datname = current_database()`
/** To the start of a connection, to what it is asked for, and to what waited for it. */
const ANSWERS_LOST = 3
const UNAVAILABLE = (error: unknown): boolean => isHooktrailError(error, 'STORE_UNAVAILABLE')

interface Address extends AsyncDisposable {
  readonly pool: Database
  /** New connections lead to the second server. */
  failOver(): Promise<void>
}

async function openAddress(): Promise<Address> {
  await using opened = new AsyncDisposableStack()
  const [first, second] = [opened.use(await startTestCluster()), opened.use(await startTestCluster())]
  const folder = await mkdtemp(join(tmpdir(), 'hooktrail-address-'))
  opened.defer(() => rm(folder, { recursive: true }))
  const address = join(folder, 'address')
  const pointTo = async ({ postgres: { url } }: typeof first): Promise<string> => {
    const [start = '', socket = ''] = url.split('host=')
    await symlink(decodeURIComponent(socket), `${address}.new`)
    await rename(`${address}.new`, address)
    return `${start}host=${encodeURIComponent(address)}`
  }
  const url = await pointTo(first)
  const options = { connectionsMax: 3, applicationName: 'test', logger: silentLogger }
  const pool = opened.use(openDatabase({ ...options, url }))
  const kept = opened.move()
  return {
    pool,
    failOver: async () => {
      await pointTo(second)
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

async function serverOf(database: Database): Promise<string | undefined> {
  return (await database.query<{ server: string }>(SERVER))[0]?.server
}

test('who waits for a connection that leads to another server does nothing there', async () => {
  await using address = await openAddress()
  const { pool } = address
  const first = await serverOf(pool)
  assert.equal(pool.server(), first)
  const losses = pool.lostConnections()
  const refusal = new Error('not looked at yet')
  const gated = pool.gated((server) => {
    if (server !== first) throw refusal
  })
  const release = Promise.withResolvers<void>()
  const held = Promise.withResolvers<void>()
  const transaction = gated.transaction(async (open) => {
    await open.query('SELECT 1')
    held.resolve()
    await release.promise
    return (await open.query<{ server: string }>(SERVER))[0]?.server
  })
  await held.promise
  await address.failOver()
  await assert.rejects(gated.query('SELECT 1'), refusal)
  await assert.rejects(
    gated.transaction(() => Promise.reject(new Error('it ran'))),
    refusal,
  )
  await assert.rejects(gated.copyRows('generate_series', [1, 3]), refusal)
  assert.equal(pool.lostConnections(), losses + 1)
  release.resolve()
  assert.equal(await transaction, first, 'a connection never leads elsewhere')
})

test('when another server answered, what is left of the connections to the first is not used', async () => {
  await using address = await openAddress()
  const { pool } = address
  const first = await serverOf(pool)
  assert.ok(first !== undefined)
  const release = Promise.withResolvers<void>()
  const held = Promise.withResolvers<void>()
  const transaction = pool.transaction(async () => {
    held.resolve()
    await release.promise
  })
  await held.promise
  await address.failOver()
  const second = await serverOf(pool)
  assert.notEqual(second, first)
  release.resolve()
  await transaction
  assert.deepEqual(await Promise.all([serverOf(pool), serverOf(pool), serverOf(pool)]), [
    second,
    second,
    second,
  ])
  await assert.rejects(onServer(pool, first).query('SELECT 1'), UNAVAILABLE)
  assert.equal(await serverOf(onServer(pool, second ?? '')), second)
})

test('a connection that breaks before it has told its server fails what waited for it, and nothing else', async () => {
  await using cluster = await startTestCluster()
  const socket = join(cluster.postgres.socketDirectory, '.s.PGSQL.5432')
  await using proxy = await startTcpProxy(socket)
  const url = `postgresql://${cluster.postgres.user}@127.0.0.1:${proxy.port}/${cluster.postgres.database}`
  for (let lost = 1; lost <= ANSWERS_LOST; lost++) {
    await using pool = openDatabase({ url, connectionsMax: 1, applicationName: 'test', logger: silentLogger })
    let answers = 0
    proxy.loseAnswers(() => ++answers === lost)
    await assert.rejects(pool.query('SELECT 1'), UNAVAILABLE)
    assert.equal((await pool.query('SELECT 1')).length, 1)
  }
})
