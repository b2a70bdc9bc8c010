/** What a start says: that it runs when it is so, and until then who waits for what. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { ServiceState } from '../../api/verdict.ts'
import { sayWhenRunning, WAITS_ASKED_MS } from '../../cli/running-line.ts'
import { HandClock } from '../support/hand-clock.ts'
import { recordedLogger } from '../support/recorded-logger.ts'

const ingress = { name: 'ingress', waitingFor: null }

test('it is said once what is waited for, and that it runs when nothing is', async () => {
  const clock = new HandClock()
  const { logger, lines } = recordedLogger()
  let dispatcher: ServiceState = { name: 'dispatcher', waitingFor: 'the database' }
  const services = (): Promise<readonly ServiceState[]> => Promise.resolve([ingress, dispatcher])
  const options = { services, fields: { api: 'u' }, clock, logger }
  const said = sayWhenRunning(options, new AbortController().signal)
  for (const waitingFor of ['the database: ECONNREFUSED', null]) {
    await nextTurn()
    dispatcher = { name: 'dispatcher', waitingFor }
    clock.advance(WAITS_ASKED_MS)
  }
  await said
  assert.deepEqual(lines, [
    ['info', { api: 'u', waits: { dispatcher: 'the database' } }, 'hooktrail listens, and waits'],
    ['info', { api: 'u' }, 'hooktrail is running'],
  ])
})

test('a stop ends the waiting, and nothing is said to run', async () => {
  const stopping = new AbortController()
  const { logger, lines } = recordedLogger()
  const services = (): Promise<readonly ServiceState[]> =>
    Promise.resolve([{ name: 'ingress', waitingFor: 'the log' }])
  const said = sayWhenRunning({ services, fields: {}, clock: new HandClock(), logger }, stopping.signal)
  await nextTurn()
  stopping.abort()
  await said
  assert.deepEqual(
    lines.map(([, , line]) => line),
    ['hooktrail listens, and waits'],
  )
})
