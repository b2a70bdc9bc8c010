/** What every job store must do: planning once, taking once, outcomes that are fenced, an outbox that skips nothing. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { INDEX_HANDLER } from '../../core/ports/plan-store.ts'
import {
  LEASE_MS,
  claim,
  outcome,
  plan,
  stepRequest,
  take,
  verdictsOf,
  type JobStage,
  retryOf,
} from '../support/job-stage.ts'
import { outboxRows } from '../support/outbox-rows.ts'

export function jobStoreContract(create: () => Promise<JobStage>): void {
  planning(create)
  delivery(create)
  operations(create)
}

function planning(create: () => Promise<JobStage>): void {
  test('of two planners at one position exactly one plans, and the other writes nothing', async () => {
    await using stage = await create()
    const input = { claims: [claim(0), claim(1)] }
    const outcomes = await Promise.all([plan(stage.store, input), plan(stage.store, input)])
    assert.deepEqual(outcomes.map(({ kind }) => kind).sort(), ['committed', 'lost'])
    const jobs = await stage.store.listJobs({ limit: 10 })
    assert.deepEqual(
      jobs.items.map(({ jobId }) => jobId),
      ['evt-000001.billing', 'evt-000000.billing'],
    )
    assert.equal((await stage.store.listEvents({ limit: 10 })).items.length, 2)
  })

  test('a handler that is not at the step is skipped, and plans later by the stored verdicts', async () => {
    await using stage = await create()
    await plan(stage.store, { claims: [claim(0), claim(1, { key: 'key-0' })], handlers: [INDEX_HANDLER] })
    const late = { claims: [claim(0), claim(1, { key: 'key-0' })], handlers: ['billing'] }
    assert.deepEqual(await plan(stage.store, late), { kind: 'committed', planned: ['billing'] })
    assert.equal((await stage.store.listJobs({ limit: 10 })).items.length, 1)
    const positions = await stage.store.positions(stepRequest(late).topicId, 0)
    assert.deepEqual(
      positions.map(({ next }) => next),
      [2n, 2n],
    )
    const skipped = { claims: [claim(2)] }
    await plan(stage.store, { ...skipped, handlers: ['billing'] })
    assert.deepEqual(await plan(stage.store, skipped), { kind: 'committed', planned: [] })
  })

  test('a key seen again is a duplicate within the window, a conflict with another body, first after it', async () => {
    await using stage = await create()
    await plan(stage.store, { claims: [claim(0, { key: 'a' })] })
    const request = {
      claims: [
        claim(0, { key: 'a', eventId: 'evt-b' }),
        claim(1, { key: 'b', eventId: 'evt-c' }),
        claim(2, { key: 'b', bodyDigest: Buffer.alloc(32, 9) }),
      ],
      partition: 1,
    }
    assert.deepEqual(await verdictsOf(stage.store, request), [
      { kind: 'duplicate', originalEventId: 'evt-000000', conflict: false },
      { kind: 'first' },
      { kind: 'duplicate', originalEventId: 'evt-c', conflict: true },
    ])
    const old = { claims: [claim(1, { key: 'a', timestampMs: 2_000_000n })] }
    assert.deepEqual(await verdictsOf(stage.store, old), [{ kind: 'first' }])
  })
}

function delivery(create: () => Promise<JobStage>): void {
  test('takers at the same time never get the same job', async () => {
    await using stage = await create()
    await plan(stage.store, { claims: Array.from({ length: 100 }, (_, n) => claim(n)) })
    const takes = await Promise.all(Array.from({ length: 5 }, () => take(stage.store, 30)))
    const ids = takes.flat().map(({ jobId }) => jobId)
    assert.equal(new Set(ids).size, ids.length)
    const rest = await take(stage.store)
    assert.equal(ids.length + rest.length, 100)
  })

  test('an outcome after the lease was reaped is late and changes nothing', async () => {
    await using stage = await create()
    await plan(stage.store, { claims: [claim(0)] })
    const [job] = await take(stage.store, 1, -1)
    assert.ok(job)
    assert.equal(await stage.store.reapExpired(10), 1)
    assert.deepEqual(
      await stage.store.recordOutcomes([outcome(job, { state: 'completed' })]),
      new Set([job.jobId]),
    )
    assert.equal((await stage.store.getJob(job.jobId))?.state, 'retryable')
    const attempts = await stage.store.listAttempts(job.jobId)
    assert.deepEqual(
      attempts.map(({ errorClass, late }) => [errorClass, late]),
      [
        ['unknown', false],
        [null, true],
      ],
    )
  })

  test('an expired lease at the last attempt ends the job, and the others go on', async () => {
    await using stage = await create()
    await plan(stage.store, { claims: [claim(0)] })
    for (const state of ['retryable', 'retryable', 'dead']) {
      const [job] = await take(stage.store, 1, -1)
      assert.ok(job)
      assert.equal(await stage.store.reapExpired(10), 1)
      const view = await stage.store.getJob(job.jobId)
      assert.deepEqual([view?.state, view?.lastError], [state, 'unknown'])
    }
    const attempts = await stage.store.listAttempts('evt-000000.billing')
    assert.deepEqual(
      attempts.map(({ attempt }) => attempt),
      [1, 2, 3],
    )
    assert.equal((await take(stage.store)).length, 0)
  })

  test('named jobs are taken only when they are due, open and not taken', async () => {
    await using stage = await create()
    await plan(stage.store, { claims: [claim(0), claim(1), claim(2), claim(3)] })
    const [running, later] = await take(stage.store, 2)
    assert.ok(running && later)
    await stage.store.recordOutcomes([outcome(later, { state: 'retryable', delayMs: 60_000 })])
    const jobIds = [running.jobId, later.jobId, 'evt-000002.billing', 'nothing', 'a\0']
    const request = { handler: 'billing', jobIds, leaseMs: LEASE_MS, generation: 'g1' }
    const { jobs, nextDueMs } = await stage.store.takeByIds(request)
    assert.deepEqual(
      jobs.map(({ jobId, attempt }) => [jobId, attempt]),
      [['evt-000002.billing', 1]],
    )
    assert.ok(nextDueMs !== null && nextDueMs > 50_000 && nextDueMs <= 60_000)
    const ofAnother = await stage.store.takeByIds({ ...request, handler: 'other' })
    assert.deepEqual(ofAnother.jobs, [])
  })

  test('a take that is given back costs no attempt', async () => {
    await using stage = await create()
    await plan(stage.store, { claims: [claim(0)] })
    const [job] = await take(stage.store)
    assert.ok(job)
    await stage.store.giveBack([{ jobId: job.jobId, lease: job.lease, delayMs: 0, reason: 'breaker' }])
    const [again] = await take(stage.store)
    assert.equal(again?.attempt, 1)
    assert.notEqual(again.lease, job.lease)
    await stage.store.giveBack([{ jobId: job.jobId, lease: job.lease, delayMs: 0, reason: 'old lease' }])
    assert.equal((await stage.store.getJob(job.jobId))?.state, 'running')
  })

  test('outcomes move jobs on, and an outcome that disables its handler stops its takes', async () => {
    await using stage = await create()
    await plan(stage.store, { claims: [claim(0), claim(1), claim(2), claim(3)] })
    const [done, again, dead] = await take(stage.store, 3)
    assert.ok(done && again && dead)
    const late = await stage.store.recordOutcomes([
      outcome(done, { state: 'completed' }),
      outcome(again, { state: 'retryable', delayMs: 60_000 }),
      outcome(dead, { state: 'dead', disableHandler: true }),
    ])
    assert.equal(late.size, 0)
    const { items } = await stage.store.listJobs({ limit: 10 })
    assert.deepEqual(items.map(({ state }) => state).sort(), ['available', 'completed', 'dead', 'retryable'])
    assert.equal((await take(stage.store)).length, 0)
    assert.equal((await stage.store.handlers())[0]?.status, 'disabled')
    const { rows } = await outboxRows(stage.store, 'audit')
    assert.equal(rows[0]?.record['action'], 'handler_disabled')
  })
}

function operations(create: () => Promise<JobStage>): void {
  test('a retry keeps the history, goes on counting, and is audited with it', async () => {
    await using stage = await create()
    await plan(stage.store, { claims: [claim(0)] })
    const [job] = await take(stage.store)
    assert.ok(job)
    await stage.store.recordOutcomes([outcome(job, { state: 'dead' })])
    const audit = { actor: 'ada', action: 'retry', target: job.jobId, reason: 'fixed', details: {} }
    assert.equal(await stage.store.settleDeadJob(job.jobId, retryOf(3), audit), 'settled')
    assert.equal(await stage.store.settleDeadJob(job.jobId, retryOf(3), audit), 'not-dead')
    assert.equal(await stage.store.settleDeadJob('nothing', retryOf(3), audit), 'not-found')
    const [again] = await take(stage.store)
    assert.deepEqual([again?.attempt, again?.maxAttempts], [2, 6])
    assert.equal((await stage.store.listAttempts(job.jobId)).length, 1)
    assert.equal((await outboxRows(stage.store, 'audit')).rows.length, 1)
  })

  test('rows of a transaction that commits late are not skipped by the outbox', async () => {
    await using stage = await create()
    const entry = { actor: 'a', action: 'early', target: 't', reason: null, details: {} }
    const release = Promise.withResolvers<void>()
    const begun = Promise.withResolvers<void>()
    const slow = stage.database.transaction(async (transaction) => {
      await transaction.query(
        `INSERT INTO audit (actor, action, target, details) VALUES ('a', 'slow', 't', '{}')`,
      )
      begun.resolve()
      await release.promise
    })
    await begun.promise
    await stage.store.writeAudit(entry)
    assert.equal((await stage.store.readOutbox('audit', 10)).rows.length, 0)
    release.resolve()
    await slow
    const { from, rows } = await outboxRows(stage.store, 'audit', 2)
    assert.deepEqual(
      rows.map(({ record }) => record['action']),
      ['slow', 'early'],
    )
    const to = rows.at(-1)?.position
    assert.ok(to)
    assert.equal(await stage.store.advanceOutbox('audit', from, to), true)
    assert.equal(await stage.store.advanceOutbox('audit', from, to), false)
    assert.equal(await stage.store.outboxLag('audit'), 0n)
  })

  test('a job that is dead at planning is told by its plan step and can be retried', async () => {
    await using stage = await create()
    await plan(stage.store, { claims: [claim(0), claim(1)], deadOffsets: [1n] })
    const dead = 'evt-000001.billing'
    assert.equal((await stage.store.getJob(dead))?.state, 'dead')
    const { rows } = await outboxRows(stage.store, 'plan_steps')
    const told = rows.find(({ key }) => key === 'billing')?.record['dead_jobs']
    const expected = { job_id: dead, event_id: 'evt-000001', offset: '1', error: 'filter_error' }
    assert.deepEqual(told, [{ ...expected, error_detail: null }])
    const audit = { actor: 'ada', action: 'retry', target: dead, reason: null, details: {} }
    assert.equal(await stage.store.settleDeadJob(dead, retryOf(3), audit), 'settled')
    assert.equal((await take(stage.store)).length, 2)
  })

  test('a lease is held by one owner until it is released', async () => {
    await using stage = await create()
    assert.equal(await stage.store.acquireLease('relay', 'a', 60_000), true)
    assert.equal(await stage.store.acquireLease('relay', 'b', 60_000), false)
    await stage.store.releaseLease('relay', 'a')
    assert.equal(await stage.store.acquireLease('relay', 'b', 60_000), true)
  })

  test('pages join without gap or overlap', async () => {
    await using stage = await create()
    await plan(stage.store, { claims: Array.from({ length: 25 }, (_, n) => claim(n)) })
    const seen: string[] = []
    let cursor: string | null = null
    do {
      const page = await stage.store.listEvents({ limit: 10, ...(cursor === null ? {} : { cursor }) })
      seen.push(...page.items.map(({ eventId }) => eventId))
      cursor = page.next
    } while (cursor !== null)
    assert.equal(seen.length, 25)
    assert.deepEqual(seen, [...new Set(seen)].sort().reverse())
  })

  test('another digest key or archive than the first one is refused', async () => {
    await using stage = await create()
    const first = await stage.store.identify('k1')
    assert.deepEqual(await stage.store.identify('k1'), first)
    await assert.rejects(stage.store.identify('k2'), { code: 'STORE_DIGEST_KEY_MISMATCH' })
    await stage.store.rememberArchive('a1')
    await assert.rejects(stage.store.rememberArchive('a2'), { code: 'STORE_ARCHIVE_MISMATCH' })
  })
}
