/** One report at a time: who waits, who shares a run, who is refused, and when a run is given up. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { REPORT_MS_MAX, ReportQueue, REPORTS_WAITING_MAX } from '../../api/report-queue.ts'
import type { Report } from '../../api/report.ts'
import { HandClock } from '../support/hand-clock.ts'

const EMPTY: Report = {
  ...{ verdict: 'agree', comparedFromMs: null, archiveRead: false },
  ...{ sources: [], rejected: [], repeated: [], steps: [], jobs: [], partitions: [] },
  ...{ archived: [], losses: [], disagreeing: [] },
}

interface Run {
  readonly sinceMs: number | null
  readonly signal: AbortSignal
  readonly end: () => void
}

/** A queue whose reports end when the test says so, or when they are given up. */
function gatedQueue() {
  const clock = new HandClock()
  const runs: Run[] = []
  const queue = new ReportQueue(clock, ({ sinceMs }, signal) => {
    const { promise, resolve, reject } = Promise.withResolvers<Report>()
    signal.addEventListener('abort', () => {
      reject(new Error('the connection was closed'))
    })
    runs.push({
      sinceMs,
      signal,
      end: () => {
        resolve(EMPTY)
      },
    })
    return promise
  })
  const ask = (sinceMs: number, gone = new AbortController().signal): Promise<Report> =>
    queue.ask({ sinceMs, untilMs: null }, gone)
  return { clock, runs, ask }
}

/** Everything that is ready to go on has gone on. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('equal reports share the run that has not begun, never the one that has', async () => {
  const { runs, ask } = gatedQueue()
  const first = ask(1)
  await settled()
  const later = [ask(1), ask(1), ask(1)]
  await settled()
  assert.equal(runs.length, 1)
  runs[0]?.end()
  await first
  await settled()
  assert.equal(runs.length, 2)
  runs[1]?.end()
  await Promise.all(later)
  assert.equal(runs.length, 2)
})

test('others wait in order, and beyond the bound they are refused', async () => {
  const { runs, ask } = gatedQueue()
  const asked = [ask(0)]
  await settled()
  for (let n = 1; n <= REPORTS_WAITING_MAX; n++) asked.push(ask(n))
  await assert.rejects(ask(99), { code: 'API_BUSY' })
  for (let n = 0; n <= REPORTS_WAITING_MAX; n++) {
    assert.equal(runs.length, n + 1)
    runs[n]?.end()
    await settled()
  }
  await Promise.all(asked)
  assert.deepEqual(
    runs.map(({ sinceMs }) => sinceMs),
    [0, 1, 2, 3, 4],
  )
})

test('a report is given up when its last asker has gone, and its place is free again', async () => {
  const { runs, ask } = gatedQueue()
  const [one, two, waiting] = [new AbortController(), new AbortController(), new AbortController()]
  const running = ask(1, one.signal)
  await settled()
  const shared = ask(2, two.signal)
  const both = ask(2, waiting.signal)
  two.abort()
  waiting.abort()
  one.abort()
  for (const asked of [running, shared, both]) await assert.rejects(asked, { code: 'API_REPORT_GIVEN_UP' })
  assert.equal(runs.length, 1)
  assert.equal(runs[0]?.signal.aborted, true)
  const next = ask(3)
  await settled()
  runs[1]?.end()
  assert.equal(await next, EMPTY)
})

test('a report that takes too long is given up, and the next one runs', async () => {
  const { clock, runs, ask } = gatedQueue()
  const slow = ask(1)
  const next = ask(2)
  await settled()
  clock.advance(REPORT_MS_MAX)
  await assert.rejects(slow, { code: 'API_REPORT_GIVEN_UP' })
  await settled()
  runs[1]?.end()
  assert.equal(await next, EMPTY)
})
