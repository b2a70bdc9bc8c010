/** Who serves which handler: what live dispatchers learn of each other, and what those that died leave behind. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JobStore } from '../../core/ports/job-store.ts'
import type { Served } from '../../core/ports/lease-store.ts'
import { createJobStage, type JobStage } from '../support/job-stage.ts'

const AUDIT = { actor: 'test', action: 'handlers', target: 'billing', reason: null, details: {} }

async function openStage(): Promise<JobStage> {
  const stage = await createJobStage()
  for (const handler of ['crm', 'mail'])
    await stage.store.registerHandler({ handler, source: 'shop', positions: [] })
  return stage
}

function serve(store: JobStore, owner: string, handlers: readonly string[]): Promise<Served> {
  return store.serve({ owner, handlers, ttlMs: 10_000 })
}

/** As if the dispatcher had died so long ago. */
async function age({ database }: JobStage, owner: string, seconds: number): Promise<void> {
  await database.query(
    `UPDATE dispatchers SET until = now() - $2::int4 * interval '1 second' WHERE owner = $1`,
    [owner, seconds],
  )
}

const placesOf = ({ handlers }: Served): unknown =>
  Object.fromEntries(handlers.map(({ handler, dispatchers, before }) => [handler, [dispatchers, before]]))

async function unservedOf({ store, database }: JobStage): Promise<Record<string, number | null>> {
  const [row] = await database.query<{ nowMs: number }>(
    'SELECT (extract(epoch FROM now()) * 1000)::float8 AS "nowMs"',
  )
  const secondsOf = (sinceMs: number | null): number | null =>
    sinceMs === null ? null : Math.floor(((row?.nowMs ?? 0) - sinceMs) / 1000)
  return Object.fromEntries(
    (await store.handlers()).map(({ handler, unservedSinceMs }) => [handler, secondsOf(unservedSinceMs)]),
  )
}

test('each dispatcher learns how many serve a handler with it, and how many of them come first', async () => {
  await using stage = await openStage()
  const { store } = stage
  const first = await serve(store, 'b', ['billing', 'crm'])
  assert.deepEqual([placesOf(first), first.isFirst], [{ billing: [1, 0], crm: [1, 0], mail: [0, 0] }, true])
  await serve(store, 'a', ['crm', 'mail'])
  const second = await serve(store, 'b', ['billing', 'crm'])
  assert.deepEqual(
    [placesOf(second), second.isFirst],
    [{ billing: [1, 0], crm: [2, 1], mail: [1, 1] }, false],
  )
  assert.deepEqual(
    (await store.handlers()).map(({ handler, dispatchers }) => [handler, dispatchers]),
    [
      ['billing', 1],
      ['crm', 2],
      ['mail', 1],
    ],
  )
})

test('a dispatcher that died serves nothing any more; its row goes, and the time of its end stays', async () => {
  await using stage = await openStage()
  await stage.database.query(`UPDATE handlers SET served_until = now() - interval '1 hour'`)
  await serve(stage.store, 'dead', ['billing', 'crm'])
  await age(stage, 'dead', 100)
  assert.equal((await unservedOf(stage))['billing'], 100)
  const served = await serve(stage.store, 'live', ['crm'])
  assert.deepEqual(placesOf(served), { billing: [0, 0], crm: [1, 0], mail: [0, 0] })
  const billing = served.handlers.find(({ handler }) => handler === 'billing')
  assert.equal(Math.floor((billing?.unservedForMs ?? 0) / 1000), 100)
  assert.deepEqual(await stage.database.query('SELECT owner FROM dispatchers'), [{ owner: 'live' }])
  const { billing: since, crm } = await unservedOf(stage)
  assert.deepEqual([since, crm], [100, null])
})

test('one that was late lives on, and one that ends is gone at once', async () => {
  await using stage = await openStage()
  await serve(stage.store, 'a', ['billing'])
  await age(stage, 'a', 30)
  assert.deepEqual(placesOf(await serve(stage.store, 'a', ['billing'])), {
    ...{ billing: [1, 0], crm: [0, 0], mail: [0, 0] },
  })
  assert.equal((await unservedOf(stage))['billing'], null)
  await stage.store.endServing('a')
  await stage.store.endServing('a')
  assert.equal((await unservedOf(stage))['billing'], 0)
})

test('a handler that is paused is not unserved, and one that never was is since it began', async () => {
  await using stage = await openStage()
  await stage.database.query(`UPDATE handlers SET served_until = now() - interval '70 seconds'`)
  await stage.store.setHandlerStatus('billing', 'paused', AUDIT)
  assert.deepEqual(await unservedOf(stage), { billing: null, crm: 70, mail: 70 })
})

test('many that forget the dead at once do not stand in each other’s way', async () => {
  await using stage = await openStage()
  const names = ['billing', 'crm', 'mail']
  for (let n = 0; n < 40; n++) {
    await serve(stage.store, `dead-${n}`, n % 2 === 0 ? names : names.toReversed())
  }
  await stage.database.query(`UPDATE dispatchers SET until = now() - interval '5 seconds'`)
  await Promise.all(Array.from({ length: 6 }, (_, n) => serve(stage.store, `live-${n}`, names)))
  const left = await stage.database.query<{ owner: string }>('SELECT owner FROM dispatchers ORDER BY owner')
  assert.deepEqual(
    left.map(({ owner }) => owner).filter((owner) => owner.startsWith('dead')),
    [],
  )
  assert.deepEqual(placesOf(await serve(stage.store, 'live-0', names)), {
    ...{ billing: [6, 0], crm: [6, 0], mail: [6, 0] },
  })
})

test('a dispatcher and a lease from before the clock went back are over', async () => {
  await using stage = await openStage()
  const { store, database } = stage
  await serve(store, 'dead', ['billing'])
  assert.ok(await store.acquireLease('planner', 'dead', 10_000))
  await database.query(`UPDATE dispatchers SET until = until + interval '1 hour'`)
  await database.query(`UPDATE leases SET until = until + interval '1 hour'`)
  await serve(store, 'alive', ['billing'])
  const places = placesOf(await serve(store, 'alive', ['billing']))
  assert.deepEqual(places, { billing: [1, 0], crm: [0, 0], mail: [0, 0] })
  assert.equal(await store.acquireLease('planner', 'alive', 10_000), true)
  assert.equal(await store.acquireLease('planner', 'other', 10_000), false)
})
