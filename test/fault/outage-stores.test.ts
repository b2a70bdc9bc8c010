/**
 * Postgres, Redis and S3 away while events are sent to a full installation, one after another and all at once. Goal:
 * every event is acknowledged, since that needs the log alone, and the process stays in its balancer, also when it is
 * started again meanwhile; what was missed is caught up by itself. Method: real servers, killed or stopped; senders
 * throughout; at the end the trail is checked without product code.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Installation } from '../support/installation.ts'
import { isReady, stopSoon, untilAnswered, untilHealthSays } from '../support/outage.ts'
import { orSkip } from '../support/services/local-process.ts'
import { scale } from '../support/scale.ts'
import { openSize, type Servers } from '../support/sizes.ts'
import { countsText, openTrailStage, type TrailStage } from '../support/trail-stage.ts'

const CONNECTIONS = 4
const LOOK_EVERY_MS = 200
/** Longer than the test may take: a stop that waits for it never ends. */
const SETTINGS = 'worker: { drain_timeout: 10m }'

interface Outage {
  readonly away: readonly Exclude<keyof Servers, 'kafka'>[]
  /** Of /health, as soon as it was noticed. */
  readonly says: RegExp
  readonly begin: 'SIGKILL' | 'SIGSTOP'
  /** How hooktrail ends meanwhile. */
  readonly ends: 'SIGTERM' | 'SIGKILL'
}

/** Kill -9 of hooktrail comes last: what a dead process held is free again after half a minute. */
const OUTAGES: readonly Outage[] = [
  {
    away: ['postgres'],
    says: /"verdict":"The database does not answer: events are taken.*"database":"down","log":"ok"/,
    ...{ begin: 'SIGKILL', ends: 'SIGTERM' },
  },
  {
    away: ['redis'],
    says: /dispatcher waits: .*ECONNREFUSED.*"log":"ok"/,
    ...{ begin: 'SIGKILL', ends: 'SIGTERM' },
  },
  {
    away: ['s3'],
    says: /archiver waits: .*ECONNREFUSED.*"archive":"waiting"/,
    ...{ begin: 'SIGKILL', ends: 'SIGTERM' },
  },
  {
    away: ['postgres', 'redis', 's3'],
    says: /"verdict":"The database does not answer.*"database":"down","log":"ok"/,
    ...{ begin: 'SIGSTOP', ends: 'SIGKILL' },
  },
]

test('Postgres, Redis and S3 may be away: every event is acknowledged, and the rest is caught up', async (t) => {
  await using opened = new AsyncDisposableStack()
  const size = opened.use(await orSkip(t, openSize('full')))
  if (size === null) return
  const stage = opened.use(await openTrailStage(size, SETTINGS))
  let trail = await stage.start()
  for (const outage of OUTAGES) trail = await goThrough(outage, { trail, stage, servers: size.servers })
  await stage.settle(trail)
  t.diagnostic(countsText(await stage.check(trail)))
})

interface Running {
  readonly trail: Installation
  readonly stage: TrailStage
  readonly servers: Servers
}

/** @returns the installation that was started while the servers were away */
async function goThrough(outage: Outage, { trail, stage, servers }: Running): Promise<Installation> {
  const { away, says, begin, ends } = outage
  const pauseMs = (1_000 * CONNECTIONS) / scale.outageEventsPerSecond
  const load = stage.senders({ connections: CONNECTIONS, events: Infinity, pauseMs })
  await untilAnswered(load, '200', CONNECTIONS)
  for (const name of away) await servers[name].kill(begin)
  const backAt = performance.now() + scale.outageMs
  await untilHealthSays(trail, says)
  while (performance.now() < backAt) {
    assert.ok(await isReady(trail))
    await delay(LOOK_EVERY_MS)
  }
  const answers = await load.stop()
  assert.deepEqual(Object.keys(answers), ['200'], trail.output())

  if (ends === 'SIGKILL') await trail.killGroup()
  else assert.equal(await stopSoon(trail), 0, trail.output())
  const again = await stage.start()
  const more = await stage.senders({ connections: CONNECTIONS, events: scale.outageEvents, pauseMs: 0 }).done
  assert.deepEqual(more, { 200: scale.outageEvents }, again.output())
  for (const name of away)
    await (begin === 'SIGSTOP' ? servers[name].kill('SIGCONT') : servers[name].restart())
  if (ends === 'SIGTERM') await stage.delivered()
  return again
}
