/** Several dispatchers that share the handlers: who sends what, how concurrency is divided, and a handler left out. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Dispatcher } from '../../dispatcher/compose-dispatcher.ts'
import { openApiStage } from '../support/api-stage.ts'
import {
  deliverOnce,
  openDispatcherStage,
  planAll,
  runnerOf,
  type DispatcherStage,
} from '../support/dispatcher-stage.ts'
import { recordedLogger } from '../support/recorded-logger.ts'

const HANDLERS = [{ name: 'app' }, { name: 'billing', pool: 'heavy' }]
const STEP_MS_MAX = 10_000

/** As if nobody had served it for so long. */
async function age({ database }: DispatcherStage, handler: string, seconds: number): Promise<void> {
  await database.query(
    `UPDATE handlers SET served_until = now() - $2::int4 * interval '1 second' WHERE handler = $1`,
    [handler, seconds],
  )
}

test('a dispatcher plans for every handler and sends for those that it serves', async () => {
  await using stage = await openDispatcherStage({ handlers: HANDLERS })
  const app = await stage.compose({ serves: new Set(['app']) })
  const [event] = await stage.append([{}])
  assert.ok(event !== undefined)
  await planAll(app)
  assert.deepEqual(
    app.runners.map(({ handler }) => handler),
    ['app'],
  )
  assert.equal(await deliverOnce(app, 'app'), 1)
  assert.equal((await stage.job(event, 'billing')).state, 'available')
  const heavy = await stage.compose({ owner: 'two', serves: new Set(['billing']) })
  assert.equal(await deliverOnce(heavy, 'billing'), 1)
  assert.deepEqual(
    stage.receiver.requests.map(({ path }) => path),
    ['/app', '/billing'],
  )
})

/** How many requests a take of each leads to while the receiver holds them all. */
async function takeAll(
  stage: DispatcherStage,
  dispatchers: readonly Dispatcher[],
): Promise<readonly number[]> {
  const release = stage.receiver.hold('/app')
  const signal = AbortSignal.timeout(STEP_MS_MAX)
  const taken: number[] = []
  for (const dispatcher of dispatchers) taken.push(await runnerOf(dispatcher, 'app').step(signal))
  release()
  for (const dispatcher of dispatchers) await runnerOf(dispatcher, 'app').drained(signal)
  return taken
}

test('dispatchers of one handler divide its concurrency, and whoever stays gets all of it back', async () => {
  await using stage = await openDispatcherStage({ handlers: [{ name: 'app', concurrency: 5 }] })
  const one = await stage.compose({ owner: 'one' })
  const three = await stage.compose({ owner: 'three' })
  const two = await stage.compose({ owner: 'two' })
  await stage.append(Array.from({ length: 40 }, () => ({})))
  await planAll(one)
  const all = [one, three, two]
  for (const { serving } of all) await serving.step()
  assert.deepEqual(await takeAll(stage, all), [2, 2, 1])
  await two.serving.end()
  await stage.database.query(`UPDATE dispatchers SET until = now() WHERE owner = 'three'`)
  await one.serving.step()
  assert.deepEqual(await takeAll(stage, [one]), [5])
})

test('a handler that others serve takes nothing of this dispatcher’s slots', async () => {
  const handlers = [
    { name: 'app', concurrency: 10 },
    { name: 'billing', concurrency: 1_000 },
  ]
  await using stage = await openDispatcherStage({ handlers })
  const app = await stage.compose({ serves: new Set(['app']) })
  await stage.append(Array.from({ length: 10 }, () => ({})))
  await planAll(app)
  assert.deepEqual(await takeAll(stage, [app]), [10])
})

test('after a minute one dispatcher tells that nobody serves a handler, and that it is served again', async () => {
  await using stage = await openDispatcherStage({ handlers: HANDLERS })
  const first = recordedLogger()
  const second = recordedLogger()
  const gauges = new Map<string, number | null>()
  const metrics = {
    ...stage.deps().metrics,
    set: (name: string, labels: Readonly<Record<string, string>>, value: number | null) =>
      void gauges.set(`${name} ${labels['handler'] ?? ''}`, value),
  }
  const serves = new Set(['app'])
  const one = await stage.compose({ owner: 'one', serves, logger: first.logger, metrics })
  const two = await stage.compose({ owner: 'two', serves, logger: second.logger })
  const steps = async (): Promise<void> => {
    for (const { serving } of [one, two, one]) await serving.step()
  }
  const said = ({ lines }: typeof first): readonly unknown[] =>
    lines.filter(([, { handler, pool }]) => handler === 'billing' && pool === 'heavy').map(([level]) => level)
  await age(stage, 'billing', 59)
  await steps()
  assert.deepEqual(said(first), [])
  await age(stage, 'billing', 75)
  await steps()
  assert.deepEqual([said(first), said(second)], [['error'], []])
  const seconds = gauges.get('handler_unserved_seconds billing') ?? 0
  assert.ok(seconds >= 75 && seconds < 90, String(seconds))
  assert.equal(gauges.get('handler_unserved_seconds app'), 0)
  await stage.compose({ owner: 'zz', serves: new Set(['billing']) })
  await steps()
  assert.deepEqual([said(first), said(second)], [['error', 'info'], []])
})

test('/health and the list of handlers show which handler nobody serves, and since when', async () => {
  await using api = await openApiStage({ handlers: HANDLERS })
  const { stage } = api
  await stage.compose({ serves: new Set(['app']) })
  await age(stage, 'billing', 90)
  const { verdict, handlers } = (await api.ask('/health')).json() as {
    verdict: string
    handlers: readonly { readonly handler: string; readonly unserved_seconds: number | null }[]
  }
  assert.match(verdict, /No dispatcher has served billing for 1 m 3\d s/)
  assert.deepEqual(
    handlers.map(({ handler, unserved_seconds: seconds }) => [handler, seconds !== null && seconds >= 90]),
    [
      ['app', false],
      ['billing', true],
    ],
  )
  const { items } = (await api.ask('/api/handlers')).json() as { items: Record<string, unknown>[] }
  assert.deepEqual(
    items.map(({ handler, pool, dispatchers, unserved_since: since }) => [
      ...[handler, pool, dispatchers, typeof since],
    ]),
    [
      ['app', 'default', 1, 'object'],
      ['billing', 'heavy', 0, 'string'],
    ],
  )
})
