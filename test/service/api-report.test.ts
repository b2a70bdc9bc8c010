/** The report on real stores: it adds up while work is open, and names what was damaged. */
import assert from 'node:assert/strict'
import { unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import fastify from 'fastify'
import { manifestKey } from '../../core/archive/keys.ts'
import type { TopicPartition } from '../../core/ports/event-log.ts'
import { startIngress } from '../../ingress/ingress-service.ts'
import { openApiStage, TOKEN, type ApiStage } from '../support/api-stage.ts'
import { deliverOnce, planAll } from '../support/dispatcher-stage.ts'

interface ReportRow {
  readonly event_id: string | null
  readonly place: string
  readonly reason: string
}

async function report(
  api: ApiStage,
  query = '',
): Promise<Record<string, unknown> & { disagreeing: ReportRow[] }> {
  const answer = await api.ask(`/api/report${query}`)
  assert.equal(answer.status, 200, answer.text)
  return answer.json() as Record<string, unknown> & { disagreeing: ReportRow[] }
}

async function rowOf(
  api: ApiStage,
  list: 'handlers' | 'sources',
  query = '',
): Promise<Record<string, unknown>> {
  const rows = (await report(api, query))[list] as Record<string, unknown>[]
  return rows[0] ?? {}
}

const HANDLERS = [{ name: 'billing', events: ['order.*'], filter: null }]

test('the sums agree at every moment between the append and the archive', async () => {
  await using api = await openApiStage({ handlers: HANDLERS })
  const dispatcher = await api.stage.compose()
  await api.stage.append([
    { type: 'order.paid' },
    { type: 'customer.left' },
    { type: 'order.paid', dedupKey: 'k', body: Buffer.from('1') },
    { type: 'order.paid', dedupKey: 'k', body: Buffer.from('1') },
    { type: 'order.paid', dedupKey: 'k', body: Buffer.from('2') },
  ])
  assert.equal((await report(api))['verdict'], 'agree')
  assert.equal((await rowOf(api, 'sources'))['source'], undefined)

  await planAll(dispatcher)
  assert.equal((await report(api))['verdict'], 'agree')
  assert.equal((await rowOf(api, 'handlers'))['in_progress'], 3)

  await deliverOnce(dispatcher, 'billing')
  await api.archiveLog()
  const last = await report(api)
  assert.deepEqual([last['verdict'], last.disagreeing, last['losses']], ['agree', [], []])
  const { received, duplicate, conflict, archived } = await rowOf(api, 'sources')
  assert.deepEqual(
    { received, duplicate, conflict, archived },
    { received: 5, duplicate: 2, conflict: 1, archived: 5 },
  )
  const { planned, filtered, duplicate: doubles, delivered, in_progress } = await rowOf(api, 'handlers')
  assert.deepEqual([planned, filtered, doubles, delivered, in_progress], [3, 1, 1, 3, 0])
})

test('every request is received, rejected or answered as a duplicate, and the sums add up to all of them', async () => {
  await using api = await openApiStage({
    handlers: [{ name: 'billing' }],
    source: {
      dedup: { key: '$.id', windowMs: 3_600_000, onConflict: 'deliver', onResend: 'revive' },
      bodyBytesMax: 100,
    },
  })
  const { stage } = api
  const metrics = { count: () => undefined, set: () => undefined, observe: () => undefined }
  const ingress = await startIngress(api.config, {
    ...stage.deps(),
    metrics,
    digestKey: 'test',
    schemaRegistry: null,
  })
  await using app = fastify()
  await app.register(ingress.routes)
  const bodies = ['{"id":1}', '{"id":1}', '{"id":1}', '{"id":1,"other":true}', '{"id":2}', 'x'.repeat(200)]
  const statuses: number[] = []
  for (const payload of bodies)
    statuses.push((await app.inject({ method: 'POST', url: '/webhooks/shop', payload })).statusCode)
  assert.deepEqual(statuses, [200, 200, 200, 200, 200, 413])
  await ingress.stop()
  const dispatcher = await stage.compose()
  await planAll(dispatcher)
  await deliverOnce(dispatcher, 'billing')

  const source = await rowOf(api, 'sources')
  const { received, repeated, rejected, duplicate, conflict } = source
  assert.deepEqual(
    { received, repeated, rejected, duplicate, conflict },
    { received: 3, repeated: 2, rejected: { size: 1 }, duplicate: 1, conflict: 1 },
  )
  const handler = await rowOf(api, 'handlers')
  assert.deepEqual([handler['planned'], handler['duplicate'], handler['delivered']], [3, 0, 3])
  const past = await rowOf(api, 'sources', '?until=2020-01-01')
  assert.equal(past['repeated'] ?? 0, 0)
})

test('a report whose asker hangs up is ended in the database, too', { timeout: 60_000 }, async () => {
  await using api = await openApiStage({ handlers: HANDLERS })
  const { database } = api.stage
  await api.stage.append([{}])
  // A statement of the report that runs for longer than anybody waits.
  await database.query('ALTER TABLE log_topics RENAME TO log_topics_kept')
  await database.query(
    'CREATE VIEW log_topics AS SELECT * FROM log_topics_kept WHERE pg_sleep(600) IS NOT NULL',
  )
  const sleeping = async (): Promise<boolean> => {
    const rows = await database.query(
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND wait_event = 'PgSleep'`,
    )
    return rows.length > 0
  }
  const asker = new AbortController()
  const headers = { authorization: `Bearer ${TOKEN}` }
  const answer = fetch(`${await api.listen()}/api/report`, { headers, signal: asker.signal })
  while (!(await sleeping()));
  asker.abort()
  await assert.rejects(answer, { name: 'AbortError' })
  while (await sleeping());
  await database.query('DROP VIEW log_topics')
  await database.query('ALTER TABLE log_topics_kept RENAME TO log_topics')
  assert.equal((await report(api))['verdict'], 'agree')
})

test('a window counts only the events that were received in it', async () => {
  await using api = await openApiStage({ handlers: HANDLERS })
  const dispatcher = await api.stage.compose()
  const at = Date.UTC(2026, 2, 1, 12)
  await api.stage.append([{ receivedAtMs: at }, { receivedAtMs: at + 1000 }, { receivedAtMs: at + 2000 }])
  await planAll(dispatcher)
  const query = '?since=2026-03-01T12:00:01&until=2026-03-01T12:00:02'
  assert.equal((await rowOf(api, 'sources', query))['received'], 1)
  assert.equal((await rowOf(api, 'handlers', query))['planned'], 1)
  assert.equal((await rowOf(api, 'handlers', query))['in_progress'], 1)
  assert.equal((await rowOf(api, 'handlers'))['planned'], 3)
})

test('an event with a filter error counts as planned dead, and the sums agree', async () => {
  await using api = await openApiStage({ handlers: HANDLERS })
  const dispatcher = await api.stage.compose()
  await api.stage.append([{}])
  await planAll(dispatcher)
  await api.stage.database.query(
    `UPDATE plan_steps SET counts = counts || '{"planned": 0, "errors": 1}', planned = '{}', dead_jobs = (SELECT
       jsonb_agg(jsonb_build_object('job_id', job_id, 'event_id', event_id, 'offset', record_offset::text)) FROM jobs)
      WHERE handler <> ''`,
  )
  const { planned, errors } = await rowOf(api, 'handlers')
  assert.deepEqual([planned, errors], [0, 1])
  assert.equal((await report(api))['verdict'], 'agree')
})

test('each kind of damage is a disagreement that names its event or its place', async () => {
  await using api = await openApiStage({ handlers: HANDLERS })
  const dispatcher = await api.stage.compose()
  const events = await api.stage.append([{}, {}, {}, {}])
  await planAll(dispatcher)
  await deliverOnce(dispatcher, 'billing')
  assert.equal((await report(api))['verdict'], 'agree')
  const [first, second, third] = events.map(({ id }) => id)
  const { database } = api.stage

  await database.query('DELETE FROM jobs_done WHERE event_id = $1', [first])
  await database.query(
    `INSERT INTO jobs_dead (record_offset, partition_no, max_attempts, job_id, event_id, handler, source, event_type,
       topic, topic_id) VALUES (1, 0, 1, $1, $2, 'billing', 'shop', 't', 't', 't')`,
    [`${second}.billing`, second],
  )
  await database.query('DELETE FROM attempts WHERE event_id = $1', [third])
  const damaged = await report(api)
  assert.equal(damaged['verdict'], 'disagree')
  const said = damaged.disagreeing.map(({ event_id, reason }) => `${event_id ?? ''} ${reason}`)
  assert.deepEqual(said.sort(), [
    `${first} it was planned, and there is no job`,
    `${second} the job is in several states: completed, dead`,
    `${third} it was delivered, and no attempt says so`,
  ])
})

test('missing plan steps, a position that moved alone and a hole in the log are named by their place', async () => {
  await using api = await openApiStage({ handlers: HANDLERS })
  const dispatcher = await api.stage.compose()
  for (let n = 0; n < 3; n++) {
    await api.stage.append([{}])
    await planAll(dispatcher)
  }
  const { database } = api.stage
  await database.query("DELETE FROM plan_steps WHERE handler = '' AND first_offset = 1")
  await database.query("UPDATE positions SET next_offset = 9 WHERE handler = 'billing'")
  await database.query('DELETE FROM log_records WHERE record_offset = 1')
  const places = (await report(api)).disagreeing.map(({ place, reason }) => `${place}: ${reason}`)
  assert.deepEqual(places.sort(), [
    'billing on hooktrail.events.shop/0: it stands at 9, and the log ends at 3',
    'hooktrail.events.shop/0: the log goes from 0 to 3, and holds 2 records',
    'the index on hooktrail.events.shop/0: a plan step begins at 2, and the one before ended at 1',
  ])
})

test('rows that are past their retention are not compared, and the report says so', async () => {
  await using api = await openApiStage({ handlers: HANDLERS })
  const dispatcher = await api.stage.compose()
  await api.stage.append([{}, {}])
  await planAll(dispatcher)
  await deliverOnce(dispatcher, 'billing')
  const { database } = api.stage
  // As after a week: what is planned and done lies in the past, and its slices are gone.
  await database.query("UPDATE schema_migrations SET applied_at = now() - interval '9 days'")
  await database.query('DELETE FROM plan_steps')
  await database.query('DELETE FROM jobs_done')
  const today = await report(api)
  assert.equal(today['verdict'], 'agree', JSON.stringify(today.disagreeing))
  assert.match(String(today['compared_from']), /^\d{4}-\d\d-\d\dT00:02:00\.000Z$/)
})

test('a log that forgot too much is a disagreement until the archive has signed the loss', async () => {
  await using api = await openApiStage({ handlers: HANDLERS })
  await api.stage.append([{}])
  await api.archiveLog()
  await api.stage.append([{}, {}])
  await api.stage.log.truncate(await eventPartition(api), 2n)
  const early = await report(api)
  assert.deepEqual(
    early.disagreeing.map(({ reason }) => reason),
    ['archived to 1, and the log begins at 2'],
  )
  await api.archiveLog()
  const late = await report(api)
  assert.equal(late['verdict'], 'loss')
  const { topic, partition } = await eventPartition(api)
  assert.deepEqual(late['losses'], [{ topic, partition, from: '1', to: '1', reason: 'retention-loss' }])
})

test('a manifest that is missing in the middle is named by its offsets', async () => {
  await using api = await openApiStage({ handlers: HANDLERS })
  for (let n = 0; n < 3; n++) {
    await api.stage.append([{}])
    await api.archiveLog()
  }
  const { topic, topicId, partition } = await eventPartition(api)
  await unlink(join(api.archive.location, manifestKey(topic, topicId, partition, 1n)))
  const { verdict, disagreeing } = await report(api)
  assert.deepEqual(
    [verdict, disagreeing.map(({ reason }) => reason)],
    ['disagree', ['no manifest covers the offsets from 1 to 1']],
  )
})

async function eventPartition(api: ApiStage): Promise<TopicPartition> {
  const topic = (await api.stage.log.topics()).find(({ name }) => name === 'hooktrail.events.shop')
  assert(topic !== undefined)
  return { topic: topic.name, topicId: topic.id, partition: 0 }
}
