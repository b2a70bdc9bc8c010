/** Dead letters of a filter that failed, retried after it was corrected: what it wants is delivered, the rest discarded. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { composeDispatcher } from '../../dispatcher/compose-dispatcher.ts'
import { deliverOnce, openDispatcherStage, planAll } from '../support/dispatcher-stage.ts'
import { retryOf } from '../support/job-stage.ts'

const FAILS = 'payload.order.total > 10'
const CORRECTED = 'has(payload.total) && payload.total > 10'
const STILL_FAILS = 'payload.total > 10'

test('a retry of a filter error asks the filter in force, also when the first take came to nothing', async () => {
  await using stage = await openDispatcherStage({ handlers: [{ name: 'billing', filter: FAILS }] })
  const dispatcher = await stage.compose()
  const events = await stage.append(
    ['{"total": 20}', '{"total": 5}', '{}'].map((text) => ({ body: Buffer.from(text) })),
  )
  await planAll(dispatcher)
  const [wanted, unwanted, broken] = events
  assert.ok(wanted !== undefined && unwanted !== undefined && broken !== undefined)
  const retry = async (): Promise<void> => {
    for (const { id } of events) {
      const audit = { actor: 'test', action: 'job.retry', target: `${id}.billing`, reason: null, details: {} }
      await stage.store.settleDeadJob(`${id}.billing`, retryOf(3), audit)
    }
  }
  const deliver = async (filter: string): Promise<void> => {
    const handlers = stage.config.handlers.map((handler) => ({ ...handler, filter }))
    const other = await composeDispatcher({ ...stage.config, handlers }, stage.deps())
    assert.equal(await deliverOnce(other, 'billing'), 3)
    await other.close()
  }
  const states = async (): Promise<unknown> =>
    Promise.all(
      events.map(async (event) => {
        const { state, lastError } = await stage.job(event, 'billing')
        return [state, lastError]
      }),
    )
  assert.deepEqual(await states(), Array(3).fill(['dead', 'filter_error']))

  await retry()
  const take = { handler: 'billing', slots: 3, leaseMs: 60_000, generation: 'g' }
  const { jobs } = await stage.store.takeDue(take)
  await stage.store.giveBack(
    jobs.map(({ jobId, lease }) => ({ jobId, lease, delayMs: 0, reason: 'payload_unavailable' })),
  )
  await stage.store.takeDue({ ...take, leaseMs: 0 })
  while ((await stage.store.reapExpired(10)) === 0);
  await deliver(CORRECTED)
  assert.deepEqual(await states(), [
    ['completed', null],
    ['discarded', 'filtered'],
    ['discarded', 'filtered'],
  ])
  assert.equal(stage.receiver.requests.length, 1)
  const [, attempt] = await stage.store.listAttempts(`${unwanted.id}.billing`)
  assert.deepEqual([attempt?.statusCode, attempt?.errorClass], [null, 'filtered'])
  const audited = await stage.database.query<{ target: string }>(
    `SELECT target FROM audit WHERE action = 'job.discard' AND actor = 'hooktrail' ORDER BY target`,
  )
  const ids = [unwanted, broken].map(({ id }) => `${id}.billing`).sort()
  assert.deepEqual(
    audited.map(({ target }) => target),
    ids,
  )
})

test('a filter that fails again makes a dead letter again', async () => {
  await using stage = await openDispatcherStage({ handlers: [{ name: 'billing', filter: STILL_FAILS }] })
  const dispatcher = await stage.compose()
  const [event] = await stage.append([{ body: Buffer.from('{}') }])
  assert.ok(event !== undefined)
  await planAll(dispatcher)
  const jobId = `${event.id}.billing`
  const audit = { actor: 'test', action: 'job.retry', target: jobId, reason: null, details: {} }
  await stage.store.settleDeadJob(jobId, retryOf(3), audit)
  assert.equal(await deliverOnce(dispatcher, 'billing'), 1)
  const job = await stage.job(event, 'billing')
  assert.deepEqual([job.state, job.lastError, job.attempt], ['dead', 'filter_error', 1])
  assert.equal(stage.receiver.requests.length, 0)
})
