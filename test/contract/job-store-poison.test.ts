/** What a sender, a receiver or a foreign producer can put into a row must never hold up the rows beside it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Logger } from '../../core/log.ts'
import type { EventRow, NewJob } from '../../core/ports/plan-store.ts'
import {
  claim,
  createJobStage,
  decide,
  outcome,
  plan,
  stepRequest,
  take,
  verdictsOf,
  retryOf,
} from '../support/job-stage.ts'
import { silentLogger } from '../support/postgres.ts'
import { outboxRows } from '../support/outbox-rows.ts'

const POISON = 'a\0b\uD800c'
const CLEANED = 'a\uFFFDb\uFFFDc'

test('dedup keys of any length and content are told apart, and known again', async () => {
  await using stage = await createJobStage()
  const long = '\u20AC'.repeat(5_000)
  const keys = [
    long,
    `${long}x`,
    'a\0',
    'a\0\0',
    '\uD800',
    '\uDFFF',
    'a ',
    long.slice(0, 512),
    'k'.repeat(512),
  ]
  const claims = keys.map((key, n) => claim(n, { key }))
  assert.equal((await plan(stage.store, { claims })).kind, 'committed')
  assert.equal((await stage.store.openJobs())[0]?.available, keys.length)
  const again = { claims, partition: 1 }
  const originals = (await verdictsOf(stage.store, again)).map((verdict) =>
    verdict.kind === 'duplicate' ? verdict.originalEventId : null,
  )
  assert.deepEqual(
    originals,
    claims.map(({ eventId }) => eventId),
  )
})

test('a planned event whose texts Postgres refuses is stored with replacement characters', async () => {
  await using stage = await createJobStage()
  const input = { claims: [claim(0), claim(1)], deadOffsets: [0n] }
  await stage.store.commitStep(stepRequest(input), (locked) => {
    const decision = decide(input, locked)
    return {
      ...decision,
      events: decision.events.map((row): EventRow => ({ ...row, type: POISON, subject: POISON })),
      jobs: decision.jobs.map((job): NewJob => ({ ...job, eventType: POISON, errorDetail: POISON })),
    }
  })
  const event = await stage.store.getEvent('evt-000000')
  assert.deepEqual([event?.type, event?.subject], [CLEANED, CLEANED])
  const { rows } = await outboxRows(stage.store, 'plan_steps')
  const [told] = rows.flatMap(({ record }) => record['dead_jobs'] ?? [])
  assert.match(JSON.stringify(told), /a\uFFFDb\uFFFDc/)
  assert.equal((await take(stage.store)).length, 1)
})

test('an outcome whose texts and bytes are arbitrary is recorded and relayed', async () => {
  await using stage = await createJobStage()
  await plan(stage.store, { claims: [claim(0)] })
  const [job] = await take(stage.store)
  assert.ok(job)
  const bytes = Buffer.from([0, 255, 0, 254])
  const strange = { errorClass: POISON, errorDetail: POISON, remoteAddress: POISON, responseBody: bytes }
  await stage.store.recordOutcomes([{ ...outcome(job, { state: 'dead' }), ...strange }])
  const [attempt] = await stage.store.listAttempts(job.jobId)
  assert.deepEqual([attempt?.errorDetail, attempt?.responseBody], [CLEANED, bytes])
  const { rows } = await outboxRows(stage.store, 'attempts')
  assert.equal(rows[0]?.record['response_body_base64'], bytes.toString('base64'))
})

test('one outcome that the store refuses is set aside with an alarm, and the others are recorded', async () => {
  const alarms: unknown[] = []
  const logger: Logger = { ...silentLogger, error: (fields) => alarms.push(fields) }
  await using stage = await createJobStage({ logger })
  await plan(stage.store, { claims: Array.from({ length: 50 }, (_, n) => claim(n)) })
  const jobs = await take(stage.store)
  const late = await stage.store.recordOutcomes(
    jobs.map((job, n) =>
      n === 17
        ? outcome(job, { state: 'retryable', delayMs: Number.NaN })
        : outcome(job, { state: 'completed' }),
    ),
  )
  assert.equal(late.size, 0)
  const { items } = await stage.store.listJobs({ limit: 100 })
  assert.equal(items.filter(({ state }) => state === 'completed').length, 49)
  assert.equal((await stage.store.getJob(jobs[17]?.jobId ?? ''))?.state, 'running')
  assert.equal(alarms.length, 1)
})

test('an outcome that is handed in again writes nothing', async () => {
  await using stage = await createJobStage()
  await plan(stage.store, { claims: [claim(0)] })
  const [job] = await take(stage.store)
  assert.ok(job)
  const retry = outcome(job, { state: 'retryable', delayMs: 60_000 })
  await stage.store.recordOutcomes([retry])
  assert.equal((await stage.store.recordOutcomes([retry])).size, 0)
  assert.equal((await stage.store.listAttempts(job.jobId)).length, 1)
})

test('an id that no job can have is not found', async () => {
  await using stage = await createJobStage()
  assert.equal(await stage.store.getJob(POISON), null)
  assert.equal(await stage.store.getEvent(POISON), null)
  assert.deepEqual(await stage.store.listAttempts(POISON), [])
  const audit = { actor: POISON, action: 'retry', target: POISON, reason: POISON, details: { text: POISON } }
  assert.equal(await stage.store.settleDeadJob(POISON, retryOf(1), audit), 'not-found')
  await stage.store.writeAudit(audit)
  assert.equal((await outboxRows(stage.store, 'audit')).rows.length, 1)
})
