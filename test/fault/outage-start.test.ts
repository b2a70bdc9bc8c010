/**
 * A full installation that starts while its servers are away. Goal: their order does not matter. Ingress is in its
 * balancer after ten seconds, answers 503 with Retry-After itself while the log is away and 2xx as soon as it is there;
 * everything else follows by itself. What cannot be waited for ends the start with its reason.
 */
import assert from 'node:assert/strict'
import { after, test, type TestContext } from 'node:test'
import { messageOf } from '../../core/error/message-of.ts'
import type { Installation } from '../support/installation.ts'
import { isReady, untilHealthSays } from '../support/outage.ts'
import { scale } from '../support/scale.ts'
import { openSize, type FullSize, type Servers } from '../support/sizes.ts'
import { countsText, openTrailStage, type TrailStage } from '../support/trail-stage.ts'

const ORDERS: readonly (readonly (keyof Servers)[])[] = [
  ['kafka', 's3', 'redis', 'postgres'],
  ['postgres', 'redis', 's3', 'kafka'],
]
const CONNECTIONS = 4

const size = await openSize('full')
if (typeof size === 'string') test('a start without its servers', { skip: size })
else {
  const stage = await openTrailStage(size)
  after(async () => {
    await stage[Symbol.asyncDispose]()
    await size[Symbol.asyncDispose]()
  })
  for (const order of ORDERS)
    test(`all servers may be away at the start and come as ${order.join(', ')}`, (t) =>
      inOrder(t, { order, size, stage }))
  test('a database that refuses ends the start, whether the log is there or not', () => refused(size))
}

interface Ordered {
  readonly order: readonly (keyof Servers)[]
  readonly size: FullSize
  readonly stage: TrailStage
}

async function inOrder(t: TestContext, { order, size, stage }: Ordered): Promise<void> {
  for (const name of order) await size.servers[name].kill('SIGKILL')
  const trail = await startWithout(stage)
  for (const name of order) await bring(name, { size, stage, trail })
  await stage.settle(trail)
  t.diagnostic(countsText(await stage.check(trail)))
}

/** Ready by itself, although nothing is there. */
async function startWithout(stage: TrailStage): Promise<Installation> {
  const trail = await stage.start()
  await untilHealthSays(trail, /^{"verdict":"The log does not answer.*"database":"down","log":"down"/)
  assert.deepEqual(await stage.senders({ connections: 1, events: 3, pauseMs: 0 }).done, { 503: 3 })
  return trail
}

interface Starting {
  readonly size: FullSize
  readonly stage: TrailStage
  readonly trail: Installation
}

async function bring(name: keyof Servers, { size, stage, trail }: Starting): Promise<void> {
  await size.servers[name].restart()
  assert.ok(await isReady(trail))
  if (name !== 'kafka') return
  // The log alone decides.
  await untilHealthSays(trail, /"log":"ok".*"name":"ingress","waiting_for":null/)
  const events = scale.outageEvents
  const answers = await stage.senders({ connections: CONNECTIONS, events, pauseMs: 0 }).done
  assert.deepEqual(answers, { 200: events }, trail.output())
}

/** It ends before it is ready or a moment later; it never runs on with half of its parts. */
async function refused(size: FullSize): Promise<void> {
  const config = size.config.replace('postgresql://hooktrail@', 'postgresql://nobody@')
  await using stage = await openTrailStage({ ...size, config })
  for (const isLogAway of [false, true]) {
    if (isLogAway) await size.servers.kafka.kill('SIGKILL')
    const output = await stage.start().then(async (trail) => {
      await trail.exited
      return trail.output()
    }, messageOf)
    assert.match(output, /the database refuses this user/)
  }
}
