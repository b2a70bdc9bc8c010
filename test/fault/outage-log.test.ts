/**
 * Kafka killed and stopped (SIGSTOP) while events are sent to a full installation. Goal: what the log does not take is
 * answered 503 with Retry-After within the deadline, and 2xx again by itself when it is back; no acknowledgement
 * without a record, and nothing hangs afterwards. Method: a real broker and signals; senders throughout; the trail is
 * checked without product code.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Installation } from '../support/installation.ts'
import { isReady, untilAnswered, untilHealthSays } from '../support/outage.ts'
import { orSkip } from '../support/services/local-process.ts'
import { scale } from '../support/scale.ts'
import type { Senders } from '../support/senders.ts'
import { openSize, type Servers } from '../support/sizes.ts'
import { countsText, openTrailStage } from '../support/trail-stage.ts'

const CONNECTIONS = 8

test('a log that is killed or stopped under load: 503 in time, no acknowledgement without a record, 2xx again', async (t) => {
  await using opened = new AsyncDisposableStack()
  const size = opened.use(await orSkip(t, openSize('full')))
  if (size === null) return
  const stage = opened.use(await openTrailStage(size))
  const { kafka } = size.servers
  const trail = await stage.start()
  const pauseMs = (1_000 * CONNECTIONS) / scale.outageEventsPerSecond
  const load = stage.senders({ connections: CONNECTIONS, events: Infinity, pauseMs })
  for (let fault = 0; fault < scale.outageLogFaults; fault++) {
    await goThrough({ trail, load, begin: 'SIGKILL', end: () => kafka.restart() }, kafka)
    await goThrough({ trail, load, begin: 'SIGSTOP', end: () => kafka.kill('SIGCONT') }, kafka)
  }
  const answers = await load.stop()
  t.diagnostic(JSON.stringify(answers))
  assert.deepEqual(new Set(Object.keys(answers)), new Set(['200', '503']), trail.output())
  await stage.settle(trail)
  t.diagnostic(countsText(await stage.check(trail)))
})

interface Fault {
  readonly trail: Installation
  readonly load: Senders
  readonly begin: 'SIGKILL' | 'SIGSTOP'
  readonly end: () => Promise<void>
}

async function goThrough({ trail, load, begin, end }: Fault, kafka: Servers['kafka']): Promise<void> {
  await untilAnswered(load, '200', 4 * CONNECTIONS)
  await kafka.kill(begin)
  await untilAnswered(load, '503', 2 * CONNECTIONS)
  await untilHealthSays(trail, /"verdict":"The log does not answer: .*"database":"ok","log":"down"/)
  assert.ok(await isReady(trail))
  await end()
  await untilAnswered(load, '200', 4 * CONNECTIONS)
  await untilHealthSays(trail, /"log":"ok"/)
}
