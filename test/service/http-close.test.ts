/** A listener that closes comes to an end, whatever its clients hold open: real connections, a clock moved by hand. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { createServer, listen } from '../../adapters/http/server.ts'
import { HandClock } from '../support/hand-clock.ts'
import { freePort } from '../support/installation.ts'

const REQUEST = 'GET /slow HTTP/1.1\r\nhost: here\r\n\r\n'
const LOOKS = 20
const LOOK_EVERY_MS = 50
const ANSWER_MS_MAX = 10_000

async function openStage(t: TestContext) {
  const clock = new HandClock()
  const at = { host: '127.0.0.1', port: await freePort() }
  const app = createServer({ ...at, bodyBytesMax: 64, inFlightBytesMax: 64, trustedProxies: [] }, clock)
  // A test that fails must not leave what it holds open.
  t.after(() => {
    app.server.closeAllConnections()
  })
  const [asked, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<string>()]
  app.get('/slow', () => {
    asked.resolve()
    return answer.promise
  })
  await listen(app, at)
  return {
    clock,
    app,
    asked: asked.promise,
    answer: () => {
      answer.resolve('done')
    },
    /** Resolves when the server has the connection. */
    open: async (text: string): Promise<Socket> => {
      const accepted = once(app.server, 'connection')
      const socket = connect(at.port, at.host)
      socket.write(text)
      await accepted
      return socket
    },
  }
}

/** The server looks a few times, well within what requests are given. */
async function look(clock: HandClock): Promise<void> {
  for (let n = 0; n < LOOKS; n++) {
    clock.advance(LOOK_EVERY_MS)
    await setImmediate()
  }
}

test('a connection that has sent nothing does not hold up a close', async (t) => {
  const { app, clock, open } = await openStage(t)
  await open('')
  const closed = app.close()
  await look(clock)
  await closed
})

test('a request under way is answered, and its kept connection does not hold up the close', async (t) => {
  const { app, clock, open, asked, answer } = await openStage(t)
  const socket = await open(REQUEST)
  await asked
  const closed = app.close()
  await look(clock)
  assert.equal(socket.readyState, 'open')
  answer()
  const [bytes] = (await once(socket, 'data')) as [Buffer]
  assert.match(bytes.toString(), /^HTTP\/1\.1 200 /)
  await look(clock)
  await closed
})

test('what is not whole or not answered 10 s after a close is broken off', async (t) => {
  const { app, clock, open, asked } = await openStage(t)
  const half = await open(REQUEST.slice(0, -2))
  const whole = await open(REQUEST)
  await asked
  const closed = app.close()
  await look(clock)
  assert.deepEqual([half.readyState, whole.readyState], ['open', 'open'])
  clock.advance(ANSWER_MS_MAX)
  await closed
})
