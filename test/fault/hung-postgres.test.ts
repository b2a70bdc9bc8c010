/** The backends of Postgres hang (stopped, connections open): who asks how it stands is answered, and nothing piles up. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../adapters/system/clock.ts'
import { openApiStage, TOKEN } from '../support/api-stage.ts'
import { planAll } from '../support/dispatcher-stage.ts'
import { HandClock } from '../support/hand-clock.ts'

const CLIENTS = 200
const WINDOWS = 8
const CONNECTIONS = 10

interface Answer {
  readonly status: number
  readonly retryAfter: string | null
  readonly text: string
}

async function ask(url: string): Promise<Answer> {
  const response = await fetch(url, { headers: { authorization: `Bearer ${TOKEN}` } })
  return {
    status: response.status,
    retryAfter: response.headers.get('retry-after'),
    text: await response.text(),
  }
}

/** Moves the API's clock until `work` has ended: what gives up by that clock gives up. */
async function whileTimePasses<T>(clock: HandClock, work: Promise<T>): Promise<T> {
  const ended = new AbortController()
  const result = work.finally(() => {
    ended.abort()
  })
  while (!ended.signal.aborted) {
    clock.advance(1_000)
    await systemClock.sleep(2, ended.signal)
  }
  return result
}

test('health, metrics and report answer 200 clients while every backend hangs, and go on afterwards', async () => {
  const clock = new HandClock()
  await using api = await openApiStage({ handlers: [{ name: 'billing' }] }, { clock })
  const { stage } = api
  await stage.append([{}, {}])
  await planAll(await stage.compose())
  const url = await api.listen()
  const health = async (): Promise<Record<string, unknown>> =>
    JSON.parse((await ask(`${url}/health`)).text) as Record<string, unknown>
  assert.match(String((await health())['verdict']), /^All is well/)

  // Every connection of the pool is open, so that none of the questions finds a fresh one.
  await Promise.all(
    Array.from({ length: CONNECTIONS }, () => stage.database.query('SELECT pg_sleep(0.1) IS NULL')),
  )
  const backends = await stage.database.query<{ pid: number }>(
    `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'`,
  )
  for (const { pid } of backends) process.kill(pid, 'SIGSTOP')
  try {
    clock.advance(1_000)
    const reports = Array.from({ length: CLIENTS }, (_, n) =>
      ask(`${url}/api/report?until=203${n % WINDOWS}-01-01`),
    )
    // Beyond the one that runs and those that may wait, the answer comes at once.
    const busy = await Promise.any(reports)
    assert.match(busy.text, /"API_BUSY"/)

    const verdicts = Promise.all(Array.from({ length: CLIENTS }, health))
    for (const { verdict, handlers, dependencies } of await whileTimePasses(clock, verdicts)) {
      assert.match(String(verdict), /^The database does not answer/)
      assert.deepEqual(
        [handlers, dependencies],
        [null, { database: 'down', log: 'down', archive: 'unknown' }],
      )
    }
    const metrics = await Promise.all(Array.from({ length: CLIENTS }, () => ask(`${url}/metrics`)))
    assert.deepEqual(new Set(metrics.map(({ status }) => status)), new Set([200]))

    for (const { status, retryAfter, text } of await whileTimePasses(clock, Promise.all(reports)))
      if (status !== 200) {
        assert.deepEqual([status, retryAfter], [503, '5'])
        assert.match(text, /"API_BUSY"|"API_REPORT_GIVEN_UP"/)
      }
  } finally {
    for (const { pid } of backends) process.kill(pid, 'SIGCONT')
  }
  const running = (): Promise<readonly unknown[]> =>
    stage.database.query(
      `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
          AND backend_type = 'client backend' AND state <> 'idle'`,
    )
  while ((await running()).length > 0);
  clock.advance(1_000)
  assert.match(String((await health())['verdict']), /^All is well/)
  const report = await ask(`${url}/api/report`)
  assert.match(report.text, /"verdict":"agree"/)
})
