/** What a sender's repetition does to the job of the event before: the "Resend" button of its dashboard. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createReportStore } from '../../adapters/postgres/report-store.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import type { SourceConfig } from '../../core/config/config.ts'
import type { EventRecord } from '../../core/record/event-record.ts'
import type { Dispatcher } from '../../dispatcher/compose-dispatcher.ts'
import {
  deliverOnce,
  openDispatcherStage,
  planAll,
  type DispatcherStage,
} from '../support/dispatcher-stage.ts'

const ONE_ATTEMPT = { retry: { attemptsMax: 1, backoff: { kind: 'fixed', intervalMs: 1 } } } as const
const DEDUP: SourceConfig['dedup'] = {
  key: null,
  windowMs: 3_600_000,
  onConflict: 'deliver',
  onResend: 'revive',
}

interface Failed extends AsyncDisposable {
  readonly stage: DispatcherStage
  readonly dispatcher: Dispatcher
  readonly event: EventRecord
  /** Appends the repetition and plans it. */
  resend(body?: string): Promise<EventRecord>
}

/** One event whose only attempt failed; from now on the receiver answers 200. */
async function openFailed(dedup: Partial<SourceConfig['dedup']> = {}): Promise<Failed> {
  await using opening = new AsyncDisposableStack()
  const handlers = [{ name: 'billing', ...ONE_ATTEMPT }]
  const stage = opening.use(
    await openDispatcherStage({ handlers, source: { dedup: { ...DEDUP, ...dedup } } }),
  )
  const dispatcher = await stage.compose()
  await planAll(dispatcher)
  stage.receiver.script('/billing', () => 500)
  const [event] = await stage.append([{ dedupKey: 'order-1' }])
  assert(event !== undefined)
  await planAll(dispatcher)
  await deliverOnce(dispatcher, 'billing')
  assert.equal((await stage.job(event, 'billing')).state, 'dead')
  stage.receiver.script('/billing', () => 200)
  const opened = opening.move()
  return {
    ...{ stage, dispatcher, event },
    resend: async (body = '{}') => {
      const [repetition] = await stage.append([{ dedupKey: 'order-1', body: Buffer.from(body) }])
      assert(repetition !== undefined)
      await planAll(dispatcher)
      return repetition
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  }
}

async function agrees({ stage }: Failed): Promise<void> {
  const report = createReportStore(stage.database, null, systemClock)
  const window = { sinceMs: null, untilMs: null }
  assert.deepEqual((await report.sums(window, new AbortController().signal)).disagreeing, [])
}

async function revivals({ stage }: Failed): Promise<readonly Record<string, unknown>[]> {
  return stage.database.query(
    `SELECT actor, target, details->>'event_id' AS repetition FROM audit WHERE action = 'job.revive'`,
  )
}

test('a repetition of an event whose job is dead revives that job, with its history and an audit row', async () => {
  await using failed = await openFailed()
  const { stage, dispatcher, event } = failed
  const repetition = await failed.resend()
  assert.equal(await stage.store.getJob(`${repetition.id}.billing`), null)
  assert.equal(await deliverOnce(dispatcher, 'billing'), 1)
  const job = await stage.job(event, 'billing')
  assert.deepEqual([job.state, job.attempt, job.maxAttempts], ['completed', 2, 2])
  assert.equal((await stage.store.listAttempts(job.jobId)).length, 2)
  assert.deepEqual(await revivals(failed), [
    { actor: 'hooktrail', target: job.jobId, repetition: repetition.id },
  ])
  await agrees(failed)
})

test('a repetition revives a discarded job, and leaves open and delivered ones as they are', async () => {
  await using failed = await openFailed()
  const { stage, dispatcher, event } = failed
  const audit = { actor: 'test', action: 'job.discard', target: '', reason: 'no', details: {} }
  assert.equal(await stage.store.settleDeadJob(`${event.id}.billing`, { kind: 'discard' }, audit), 'settled')
  await failed.resend()
  await failed.resend()
  assert.equal((await stage.job(event, 'billing')).maxAttempts, 2)
  await deliverOnce(dispatcher, 'billing')
  await failed.resend()
  assert.equal((await stage.job(event, 'billing')).state, 'completed')
  assert.equal((await revivals(failed)).length, 1)
  assert.deepEqual(
    stage.receiver.requests.map(({ headers }) => headers['webhook-id']),
    [`${event.id}.billing`, `${event.id}.billing`],
  )
  await agrees(failed)
})

test('other bytes under the key are delivered as an event of their own, and revive the job where conflicts are dropped', async () => {
  await using delivering = await openFailed()
  const own = await delivering.resend('{"other":1}')
  assert.equal((await delivering.stage.job(own, 'billing')).state, 'available')
  assert.equal((await delivering.stage.job(delivering.event, 'billing')).state, 'dead')

  await using dropping = await openFailed({ onConflict: 'drop' })
  await dropping.resend('{"other":1}')
  assert.equal((await dropping.stage.job(dropping.event, 'billing')).state, 'available')
})

test('under on_resend: drop, and when the log repeats itself, a dead job stays dead', async () => {
  await using dropping = await openFailed({ onResend: 'drop' })
  await dropping.resend()
  assert.equal((await dropping.stage.job(dropping.event, 'billing')).state, 'dead')

  await using failed = await openFailed()
  await failed.stage.append([failed.event])
  await planAll(failed.dispatcher)
  assert.equal((await failed.stage.job(failed.event, 'billing')).state, 'dead')
  assert.deepEqual(await revivals(failed), [])
})
