/** The bound on work that is waited for: in time, late, ended early, failed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { within } from '../../core/deadline.ts'
import { HandClock } from '../support/hand-clock.ts'

const never = (): Promise<never> => new Promise(() => undefined)

test('what comes in time is the answer, also null, and what fails in time is the failure', async () => {
  const deadline = { ms: 10, clock: new HandClock() }
  assert.deepEqual(await within(() => Promise.resolve(null), deadline), { value: null })
  await assert.rejects(
    within(() => Promise.reject(new Error('refused')), deadline),
    /refused/,
  )
})

test('work that is late is told so, not waited for, and may fail unheard', async () => {
  const clock = new HandClock()
  const told = Promise.withResolvers<string>()
  const waiting = within(
    (late) =>
      new Promise((_, reject) => {
        late.addEventListener('abort', () => {
          reject(new Error('given up'))
          told.resolve('late')
        })
      }),
    { ms: 10, clock },
  )
  clock.advance(10)
  assert.equal(await waiting, null)
  assert.equal(await told.promise, 'late')
})

test('a signal ends the waiting before its time', async () => {
  const stop = new AbortController()
  const waiting = within(never, { ms: 10, clock: new HandClock(), signal: stop.signal })
  stop.abort()
  assert.equal(await waiting, null)
})
