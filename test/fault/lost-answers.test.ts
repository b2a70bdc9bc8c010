/**
 * Postgres and S3 do what they are asked and their answers are lost, both at once, while events are sent: of an append, a
 * step, a take, an outcome, the relay, a create of the archive nobody knows whether it was done. Goal: nothing that was
 * acknowledged is missing, nothing is planned or archived twice, and a request is repeated only where an attempt says
 * so. Method: proxies on the connections of a real installation; at the end the trail is checked without product code.
 */
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { test } from 'node:test'
import { eventually } from '../support/installation.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { orSkip } from '../support/services/local-process.ts'
import { startTcpProxy } from '../support/services/tcp-proxy.ts'
import { scale } from '../support/scale.ts'
import { openSize } from '../support/sizes.ts'
import { countsText, openTrailStage } from '../support/trail-stage.ts'

const SHARE = 0.05
const LOST_MS_MAX = 60_000

test('what Postgres and S3 did without an answer is neither lost nor done twice', async (t) => {
  await using opened = new AsyncDisposableStack()
  const size = opened.use(await orSkip(t, openSize('Postgres and S3')))
  if (size === null) return
  const seed = randomInt(2 ** 31)
  t.diagnostic(`seed ${seed}`)
  const random = seededRandom(seed)
  const { postgres, s3 } = size.servers
  const database = opened.use(await startTcpProxy(socketOf(postgres.url)))
  const bucket = opened.use(await startTcpProxy(Number(new URL(s3.endpoint).port)))
  const config = size.config
    .replace(postgres.url, `postgresql://hooktrail@127.0.0.1:${database.port}/hooktrail`)
    .replace(s3.endpoint, `http://127.0.0.1:${bucket.port}`)
  const stage = opened.use(await openTrailStage({ ...size, config }))
  const trail = await stage.start()
  for (const proxy of [database, bucket]) proxy.loseAnswers(() => random() < SHARE)
  const answers = await stage.senders({ connections: 8, events: scale.lostAnswersEvents, pauseMs: 0 }).done
  assert.deepEqual(
    Object.keys(answers).filter((answer) => answer !== '200' && answer !== '503'),
    [],
  )
  await eventually('each of them has lost an answer', LOST_MS_MAX, () =>
    Promise.resolve(database.lost() > 0 && bucket.lost() > 0 ? true : null),
  )
  for (const proxy of [database, bucket]) proxy.loseAnswers(() => false)
  await stage.settle(trail)
  t.diagnostic(
    `${database.lost()} and ${bucket.lost()} answers lost: ${countsText(await stage.check(trail))}`,
  )
})

function socketOf(url: string): string {
  return `${new URLSearchParams(url.split('?')[1]).get('host')}/.s.PGSQL.5432`
}
