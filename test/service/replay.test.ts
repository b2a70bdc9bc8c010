/** Replays from the API's question to the receiver: what was counted is delivered, behind live events, and no more. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { REPLAYED_JOBS_MAX } from '../../dispatcher/replay-takes.ts'
import { planAll } from '../support/dispatcher-stage.ts'
import { recordedLogger } from '../support/recorded-logger.ts'
import { openReplayStage, until } from '../support/replay-stage.ts'

const ONE_ATTEMPT = { retry: { attemptsMax: 1, backoff: { kind: 'fixed', intervalMs: 1 } } } as const

function bodies(count: number) {
  return Array.from({ length: count }, (_, n) => ({ body: Buffer.from(`{"n":${n}}`) }))
}

test('a dry run counts what is delivered when it is resumed, under the same webhook-id and the id of the replay', async () => {
  const handlers = [{ name: 'billing', filter: 'payload.n != 3' }]
  await using stage = await openReplayStage({ handlers, partitions: 2 })
  const events = await stage.deliverLive(bodies(12).map((event, n) => ({ ...event, dedupKey: `k${n % 11}` })))
  const live = stage.api.stage.receiver.requests.map(({ headers }) => headers['webhook-id'])
  const dry = await stage.create({ from_offset: '0', filter: 'payload.n < 8', dry_run: true })
  const counted = await stage.runTo(dry.id, 'counted')
  // 0 to 7 without 3; the twelfth has the key and not the body of the first.
  assert.deepEqual([counted.planned, counted.filtered, counted.offsets], [7, 5, 12])
  assert.deepEqual(stage.replayed(), [])
  // What comes later is not part of it.
  await stage.deliverLive([{ body: Buffer.from('{"n":1}') }])
  await stage.act(dry.id, 'resume')
  const done = await stage.runTo(dry.id, 'completed')
  assert.deepEqual([done.planned, done.filtered, done.delivered, done.open], [7, 5, 7, 0])
  const replayed = stage.replayed()
  const wanted = events.slice(0, 8).filter((_, n) => n !== 3)
  assert.deepEqual(
    replayed.map(({ headers }) => headers['webhook-id']).toSorted(),
    wanted.map(({ id }) => `${id}.billing`).toSorted(),
  )
  for (const { headers } of replayed) {
    assert(live.includes(headers['webhook-id']))
    assert.equal(headers['x-hooktrail-replay'], dry.id)
    assert.equal(headers['x-hooktrail-handler'], 'billing')
    assert.equal(headers['x-hooktrail-attempt'], '1')
  }
  await stage.agrees()
})

test('a dry run says nothing of dead jobs, and counts none; its delivery does', async () => {
  await using stage = await openReplayStage({ handlers: [{ name: 'billing', filter: 'payload.amount > 1' }] })
  await stage.deliverLive(bodies(2))
  const { logger, lines } = recordedLogger()
  const dead: unknown[] = []
  const metrics = { count: (name: string) => dead.push(name), set: () => undefined, observe: () => undefined }
  const { api } = stage
  const dispatcher = await api.stage.compose({ owner: 'two', logger, metrics })
  const said = () => [
    lines.filter(([level]) => level === 'error').length,
    dead.filter((name) => name === 'dlq_total').length,
  ]
  const { id } = await stage.create({ from_offset: 0, dry_run: true })
  assert.equal((await stage.runTo(id, 'counted', dispatcher)).errors, 2)
  assert.deepEqual(said(), [0, 0])
  await stage.act(id, 'resume')
  assert.equal((await stage.runTo(id, 'completed', dispatcher)).dead, 2)
  assert.deepEqual(said(), [1, 2])
  await stage.agrees()
})

test('ranges of offsets, of times and of events are what they say', async () => {
  await using stage = await openReplayStage({ handlers: [{ name: 'billing' }] })
  await stage.deliverLive(bodies(5))
  const [last] = await stage.api.stage.database.query<{ at: bigint }>(
    'SELECT max(timestamp_ms) + 1 AS at FROM log_records',
  )
  const sinceMs = Number(last?.at)
  await until('the next millisecond begins', () => Promise.resolve(Date.now() > sinceMs))
  const later = await stage.deliverLive(bodies(4))
  const since = new Date(sinceMs).toISOString()
  const count = async (body: Record<string, unknown>): Promise<number> => {
    const { id } = await stage.create({ ...body, dry_run: true })
    return (await stage.runTo(id, 'counted')).planned
  }
  assert.equal(await count({ partition: 0, from_offset: 1, to_offset: 3 }), 3)
  assert.equal(await count({ from_offset: '7' }), 2)
  assert.equal(await count({ since }), 4)
  assert.equal(await count({ since: '2020-01-01', until: since }), 5)
  assert.equal(await count({ events: [later[0]?.id, later[3]?.id] }), 2)
  assert.equal(await count({ from_offset: 0, filter: 'payload.m == 1' }), 0)
})

test('live events are taken before replayed ones, which have half of the slots at most', async () => {
  await using stage = await openReplayStage({ handlers: [{ name: 'billing', concurrency: 4 }] })
  await stage.deliverLive(bodies(8))
  const { requests } = stage.api.stage.receiver
  const before = requests.length
  const release = stage.api.stage.receiver.hold('/billing')
  const { id } = await stage.create({ from_offset: 0 })
  await stage.dispatcher.replays.look()
  await planAll(stage.dispatcher)
  await stage.dispatcher.replays.step(AbortSignal.timeout(10_000))
  const [runner] = stage.dispatcher.runners
  assert(runner)
  const signal = AbortSignal.timeout(10_000)
  const isReplayed = () =>
    requests.slice(before).map(({ headers }) => headers['x-hooktrail-replay'] !== undefined)
  await stage.api.stage.append(bodies(3))
  await planAll(stage.dispatcher)
  // Three live ones, and one of a replay in the slot that they leave.
  assert.equal(await runner.step(signal), 4)
  await stage.api.stage.receiver.arrived(before + 4)
  assert.deepEqual(isReplayed().toSorted(), [false, false, false, true])
  release()
  await runner.drained(signal)
  const again = stage.api.stage.receiver.hold('/billing')
  await stage.dispatcher.replays.look()
  assert.equal(await runner.step(signal), 2)
  await stage.api.stage.receiver.arrived(before + 6)
  await stage.api.stage.append(bodies(2))
  await planAll(stage.dispatcher)
  assert.equal(await runner.step(signal), 2)
  await stage.api.stage.receiver.arrived(before + 8)
  assert.deepEqual(isReplayed().slice(4), [true, true, false, false])
  again()
  await runner.drained(signal)
  const done = await stage.runTo(id, 'completed')
  assert.equal(done.delivered, 8)
  await stage.agrees()
})

test('a replay reads over the seam of archive and log, by offset and by time', async () => {
  await using stage = await openReplayStage({ handlers: [{ name: 'billing' }] })
  const { api } = stage
  const old = await stage.deliverLive(bodies(20))
  await api.archiveLog()
  const [topic] = (await api.stage.log.topics()).filter(({ name }) => name.includes('.events.'))
  assert(topic)
  const at = { topic: topic.name, topicId: topic.id, partition: 0 }
  await api.stage.log.truncate(at, 20n)
  const young = await stage.deliverLive(bodies(5))
  const { id } = await stage.create({ from_offset: 0 })
  const done = await stage.runTo(id, 'completed')
  assert.deepEqual([done.planned, done.delivered], [25, 25])
  const wanted = new Map([...old, ...young].map(({ id, body }) => [id, body.toString()]))
  for (const { headers, body } of stage.replayed()) {
    const event = String(headers['x-hooktrail-event-id'])
    assert.equal(body.toString(), wanted.get(event))
    wanted.delete(event)
  }
  assert.equal(wanted.size, 0)
  const since = await stage.create({ since: '2020-01-01T00:00:00Z', dry_run: true })
  assert.equal((await stage.runTo(since.id, 'counted')).planned, 25)
  await stage.agrees()

  api.hideArchive()
  const refused = await api.ask('/api/replays', {
    method: 'POST',
    body: { handler: 'billing', from_offset: 3 },
  })
  assert.deepEqual([refused.status, refused.json()['code']], [409, 'ARCHIVE_READER_MISSING'])
})

test('after a cancel nothing more is sent, and what was open is discarded', async () => {
  await using stage = await openReplayStage({ handlers: [{ name: 'billing', concurrency: 4 }] })
  await stage.deliverLive(bodies(10))
  const { id } = await stage.create({ from_offset: 0 })
  await stage.round()
  const sent = stage.replayed().length
  assert.equal(sent, 2)
  const cancelled = await stage.act(id, 'cancel')
  assert.deepEqual([cancelled.status, cancelled.discarded, cancelled.open], ['cancelled', 8, 0])
  // The runner has not heard of it yet.
  const [runner] = stage.dispatcher.runners
  assert.equal(await runner?.step(AbortSignal.timeout(10_000)), 0)
  await stage.round()
  await stage.round()
  assert.equal(stage.replayed().length, sent)
  const over = await stage.show(id)
  assert.deepEqual([over.delivered, over.discarded, over.planned], [2, 8, 10])
  const refused = await stage.api.ask(`/api/replays/${id}/resume`, { method: 'POST', body: {} })
  assert.deepEqual([refused.status, refused.json()['code']], [409, 'API_REPLAY_REFUSED'])
  await stage.agrees()
})

test('a paused replay goes on where it stood, also in another process', async () => {
  await using stage = await openReplayStage({ handlers: [{ name: 'billing', concurrency: 4 }] })
  await stage.deliverLive(bodies(10))
  const { id } = await stage.create({ from_offset: 0 })
  await stage.round()
  await stage.act(id, 'pause')
  await stage.round()
  assert.equal(stage.replayed().length, 2)
  await stage.act(id, 'resume')
  const other = await stage.api.stage.compose({ owner: 'two' })
  const done = await stage.runTo(id, 'completed', other)
  assert.deepEqual([done.planned, done.delivered], [10, 10])
  const ids = stage.replayed().map(({ headers }) => headers['webhook-id'])
  assert.equal(new Set(ids).size, 10)
  await stage.agrees()
})

test('a failed delivery of a replay is a dead letter of its own, and 410 disables the handler', async () => {
  await using stage = await openReplayStage({ handlers: [{ name: 'billing', ...ONE_ATTEMPT }] })
  const [event] = await stage.deliverLive(bodies(1))
  assert(event)
  const { receiver, store } = stage.api.stage
  receiver.script('/billing', () => 410)
  const { id } = await stage.create({ from_offset: 0 })
  const done = await stage.runTo(id, 'completed')
  assert.equal(done.dead, 1)
  assert.equal((await store.handlers())[0]?.status, 'disabled')
  const dead = await stage.api.ask(`/api/jobs?handler=billing.${id}`)
  const { items } = z.object({ items: z.array(z.record(z.string(), z.unknown())) }).parse(dead.json())
  assert.deepEqual(
    [items[0]?.['id'], items[0]?.['url']],
    [`${event.id}.billing.${id}`, `${receiver.url}/billing`],
  )
  assert.equal((await stage.api.stage.job(event, 'billing')).state, 'completed')
  await stage.agrees()
  receiver.script('/billing', () => 200)
  await stage.api.ask('/api/handlers/billing/enable', { method: 'POST', body: {} })
  const retried = await stage.api.ask(`/api/jobs/${event.id}.billing.${id}/retry`, {
    method: 'POST',
    body: {},
  })
  assert.equal(retried.status, 200, retried.text)
  assert.equal((await stage.runTo(id, 'completed')).delivered, 1)
  await stage.agrees()
})

test('records of a range come out as lines instead, without duplicates and over the seam', async () => {
  await using stage = await openReplayStage({ handlers: [{ name: 'billing' }] })
  const { api } = stage
  const old = await stage.deliverLive([...bodies(3), { dedupKey: 'k' }, { dedupKey: 'k' }])
  await api.archiveLog()
  const [topic] = (await api.stage.log.topics()).filter(({ name }) => name.includes('.events.'))
  assert(topic)
  await api.stage.log.truncate({ topic: topic.name, topicId: topic.id, partition: 0 }, 5n)
  const young = await stage.deliverLive(bodies(2))
  const lines = async (body: Record<string, unknown>): Promise<readonly unknown[]> => {
    const { status, text } = await api.ask('/api/replays/records', { method: 'POST', body })
    assert.equal(status, 200, text)
    const parsed = z.array(z.looseObject({ id: z.string() }))
    return parsed
      .parse(
        text
          .split('\n')
          .slice(0, -1)
          .map((line) => JSON.parse(line) as unknown),
      )
      .map(({ id }) => id)
  }
  const wanted = [...old.slice(0, 4), ...young].map(({ id }) => id)
  assert.deepEqual(await lines({ source: 'shop', from_offset: 0 }), wanted)
  assert.deepEqual(await lines({ topic: topic.name, from_offset: 0, filter: 'payload.n == 1' }), [
    old[1]?.id,
    young[1]?.id,
  ])
  assert.deepEqual(stage.replayed(), [])
  const { status } = await api.ask('/api/replays/records', { method: 'POST', body: { from_offset: 0 } })
  assert.equal(status, 400)
})

test('what is asked wrongly is refused with what may be meant', async () => {
  await using stage = await openReplayStage({ handlers: [{ name: 'billing' }] })
  const refusals: readonly (readonly [Record<string, unknown>, number, RegExp])[] = [
    [{ handler: 'biling', from_offset: 0 }, 404, /did_you_mean":"billing/],
    [{ handler: 'billing' }, 400, /from_offset, since or events/],
    [{ handler: 'billing', from_offset: 0, source: 'shopp' }, 404, /did_you_mean":"shop/],
    [{ handler: 'billing', from_offset: 0, since: '2026-01-01' }, 400, /either of offsets or of times/],
    [{ handler: 'billing', from_offset: 0, filter: 'paylod.x == 1' }, 400, /payload/],
    [{ handler: 'billing', from_offset: 0, partition: 7 }, 400, /1 partitions/],
    [{ handler: 'billing', from_offset: -1 }, 400, /no offset/],
    [{ handler: 'billing', events: ['01J00000000000000000000009'] }, 404, /API_NOT_FOUND/],
    [{ handler: 'billing', events: ['x'], from_offset: 0 }, 400, /no range beside them/],
    [{ handler: 'billing', from_offset: 0, rate: 0 }, 400, /rate/],
  ]
  for (const [body, status, said] of refusals) {
    const answer = await stage.api.ask('/api/replays', { method: 'POST', body })
    assert.equal(answer.status, status, answer.text)
    assert.match(answer.text, said)
  }
  const { items } = z
    .object({ items: z.array(z.unknown()) })
    .parse((await stage.api.ask('/api/replays')).json())
  assert.deepEqual(items, [])
  assert.equal((await stage.api.ask('/api/replays/none')).status, 404)
})

test('a long replay is planned ahead only so far, and ends with what its dry run counted', async () => {
  const EVENTS = 1_600
  await using stage = await openReplayStage({
    handlers: [{ name: 'billing', concurrency: 200 }],
    partitions: 2,
  })
  await stage.deliverLive(bodies(EVENTS))
  const dry = await stage.create({ from_offset: 0, dry_run: true })
  assert.equal((await stage.runTo(dry.id, 'counted')).planned, EVENTS)
  await stage.act(dry.id, 'resume')
  let openMax = 0
  await until('the replay is over', async () => {
    await stage.round()
    const { open, status } = await stage.show(dry.id)
    openMax = Math.max(openMax, open)
    return status === 'completed'
  })
  assert(openMax > 0 && openMax <= REPLAYED_JOBS_MAX, `${openMax} jobs were open`)
  const ids = stage.replayed().map(({ headers }) => headers['webhook-id'])
  assert.deepEqual([ids.length, new Set(ids).size], [EVENTS, EVENTS])
  await stage.agrees()
})

test('a replay whose archive is away waits and says so while others go on, and a cancel ends the waiting', async () => {
  await using stage = await openReplayStage({ handlers: [{ name: 'billing' }] })
  const { api, waits } = stage
  await stage.deliverLive(bodies(4))
  await api.archiveLog()
  const [topic] = (await api.stage.log.topics()).filter(({ name }) => name.includes('.events.'))
  assert(topic)
  await api.stage.log.truncate({ topic: topic.name, topicId: topic.id, partition: 0 }, 4n)
  await stage.deliverLive(bodies(2))
  const old = await stage.create({ from_offset: 0 })
  api.hideArchive()
  await until('it says what it waits for', async () => {
    await stage.round()
    return waits.text()?.includes('ARCHIVE_READER_MISSING') === true
  })
  const young = await stage.create({ from_offset: 4 })
  assert.equal((await stage.runTo(young.id, 'completed')).delivered, 2)
  assert.equal((await stage.show(old.id)).offsets_done, 0)
  await stage.act(old.id, 'cancel')
  await stage.round()
  assert.equal(waits.text(), null)
  await stage.agrees()
})
