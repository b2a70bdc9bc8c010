/** The Postgres log against the contract, and what only it promises: slices, fsync, lock order, kill -9 of the server. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPostgresEventLog, type PostgresEventLog } from '../../adapters/postgres/event-log.ts'
import { listSlices } from '../../adapters/postgres/log-slices.ts'
import { migrate } from '../../adapters/postgres/migrate.ts'
import type { Database } from '../../adapters/postgres/database.ts'
import { openDatabase } from '../../adapters/postgres/pool.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import { createMigratedDatabase, silentLogger, startTestCluster } from '../support/postgres.ts'
import { scale } from '../support/scale.ts'
import {
  createTopic,
  exerciseEventLog,
  hasCode,
  of,
  readAll,
  request,
  textRecord,
  type LogUnderTest,
} from './event-log.ts'

interface PostgresLogUnderTest extends LogUnderTest {
  openBoth(retentionMs?: number): Promise<{ database: Database; log: PostgresEventLog }>
}

const DAY_MS = 86_400_000

async function start(url?: string): Promise<PostgresLogUnderTest> {
  await using undo = new AsyncDisposableStack()
  const address = url ?? undo.use(await createMigratedDatabase()).url
  await using setup = openDatabase({
    url: address,
    connectionsMax: 1,
    applicationName: 'test',
    logger: silentLogger,
  })
  await migrate(setup)
  const resources = undo.move()
  const topicPrefix = 'trail'
  const openBoth: PostgresLogUnderTest['openBoth'] = async (retentionMs = DAY_MS) => {
    const database = resources.use(
      openDatabase({ url: address, connectionsMax: 4, applicationName: 'test', logger: silentLogger }),
    )
    const log = resources.use(
      await createPostgresEventLog(database, {
        topicPrefix,
        retentionMs,
        clock: systemClock,
        logger: silentLogger,
      }),
    )
    return { database, log }
  }
  return {
    topicPrefix,
    openBoth,
    open: async () => (await openBoth()).log,
    deleteTopic: async (name) => {
      await (await openBoth()).log.deleteTopic(name)
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

exerciseEventLog('Postgres', start)

test('appenders that name the same partitions in opposite orders do not deadlock', async () => {
  await using under = await start()
  const { database, log } = await under.openBoth()
  const second = (await under.openBoth()).log
  const topics = [await createTopic(log, 'trail.a', 2), await createTopic(log, 'trail.b', 2)]
  const forward = topics.flatMap((topic) => [textRecord(topic, 0, 'x'), textRecord(topic, 1, 'x')])
  const backward = forward.toReversed()
  const rounds = scale.logBatches
  await Promise.all(
    [log, second, log, second].map(async (appender, index) => {
      for (let round = 0; round < rounds; round++) await appender.append(index % 2 === 0 ? forward : backward)
    }),
  )
  const [row] = await database.query<{ deadlocks: bigint }>(
    'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()',
  )
  assert.equal(row?.deadlocks, 0n)
  for (const topic of topics) assert.equal((await log.bounds(of(topic, 1))).highWatermark, BigInt(4 * rounds))
})

test('slices below the log start are dropped whole, and only those', async () => {
  await using under = await start()
  const { database, log } = await under.openBoth(8_000)
  const topic = await createTopic(log, 'trail.slices', 2)
  await log.append([textRecord(topic, 0, 'old'), textRecord(topic, 1, 'old')])
  const [first] = await listSlices(database)
  assert.ok(first !== undefined)
  await passTime(database, first.toMs)
  await log.append([textRecord(topic, 0, 'new')])
  await log.truncate(of(topic, 0), 1n)
  assert.ok(
    (await listSlices(database)).some(({ name }) => name === first.name),
    'partition 1 still needs it',
  )
  assert.equal((await readAll(log, topic, 1)).length, 1)
  await log.truncate(of(topic, 1), 1n)
  assert.ok((await listSlices(database)).every(({ name }) => name !== first.name))
  assert.deepEqual(
    (await readAll(log, topic, 0)).map(({ value }) => String(value)),
    ['new'],
  )
  assert.deepEqual(await database.query('SELECT FROM log_records_default'), [])
  assert.ok((await listSlices(database)).length <= 20)
})

test('processes that drop the same old slices at once do not disturb each other', async () => {
  await using under = await start()
  const logs = [await under.openBoth(), await under.openBoth(), await under.openBoth()] as const
  const old = Array.from({ length: 30 }, (_, n) => [n * 1_000, (n + 1) * 1_000] as const)
  for (const [from, to] of old)
    await logs[0].database.query(
      `CREATE TABLE log_records_${from}_${to} PARTITION OF log_records FOR VALUES FROM (${from}) TO (${to})`,
    )
  const dropped = (await Promise.all(logs.map(({ log }) => log.maintain()))).flat()
  const names = (await listSlices(logs[0].database)).map(({ name }) => name)
  for (const [from, to] of old) {
    const name = `log_records_${from}_${to}`
    assert(
      names.includes(name) ? !dropped.includes(name) : dropped.filter((each) => each === name).length === 1,
    )
  }
})

test('a record that no slice was made for is kept in the default slice and read like any other', async () => {
  await using under = await start()
  const { database, log } = await under.openBoth()
  const topic = await createTopic(log, 'trail.stray')
  for (const { name } of await listSlices(database)) await database.query(`DROP TABLE ${name}`)
  await log.append([textRecord(topic, 0, 'a'), textRecord(topic, 0, 'b')])
  await log.maintain()
  await log.append([textRecord(topic, 0, 'c')])
  assert.deepEqual(
    (await readAll(log, topic, 0)).map(({ value }) => String(value)),
    ['a', 'b', 'c'],
  )
  await log.truncate(of(topic, 0), 3n)
  assert.deepEqual(await database.query('SELECT FROM log_records_default'), [])
})

test('a missing row is damage: nothing is read past it, and nothing is said to be a gap', async () => {
  await using under = await start()
  const { database, log } = await under.openBoth()
  const topic = await createTopic(log, 'trail.damage')
  await log.append(['a', 'b', 'c'].map((value) => textRecord(topic, 0, value)))
  await database.query('DELETE FROM log_records WHERE record_offset = 1')
  const isDamage = (error: unknown): boolean =>
    isHooktrailError(error, 'LOG_CORRUPT') && error.details['offset'] === 1n
  await assert.rejects(log.read(request(topic, 0)), isDamage)
  await assert.rejects(log.read(request(topic, 0, { from: 1n })), isDamage)
  await database.query('DELETE FROM log_records WHERE record_offset = 2')
  await assert.rejects(log.read(request(topic, 0, { from: 2n })), hasCode('LOG_CORRUPT'))
  assert.equal((await log.read(request(topic, 0, { from: 3n }))).next, 3n)
})

test('a slice that is dropped between the bounds of a read and its rows is out of range, never a hole', async () => {
  await using under = await start()
  const { database, log } = await under.openBoth()
  const topic = await createTopic(log, 'trail.dropped')
  await log.append(['old', 'old', 'new'].map((value) => textRecord(topic, 0, value)))
  const [slice] = await database.query<{ name: string }>(
    'SELECT tableoid::regclass::text AS name FROM log_records LIMIT 1',
  )
  // Into another slice, by time.
  await database.query(
    `UPDATE log_records SET timestamp_ms = timestamp_ms + ${100 * DAY_MS} WHERE record_offset = 2`,
  )
  const waiting = `SELECT FROM pg_locks WHERE relation = 'log_records'::regclass AND NOT granted`
  const reading = await database.transaction(async (dropper) => {
    // Neither the reader's bounds nor its snapshot need this lock, its rows do.
    await dropper.query('LOCK TABLE log_records IN ACCESS EXCLUSIVE MODE')
    const read = log.read(request(topic, 0)).then(
      () => null,
      (error: unknown) => error,
    )
    while ((await dropper.query(waiting)).length === 0);
    await dropper.query(`UPDATE log_partitions SET log_start = 2; DROP TABLE ${slice?.name ?? ''}`)
    return { read }
  })
  const error = await reading.read
  assert.ok(isHooktrailError(error, 'LOG_OFFSET_OUT_OF_RANGE'))
  assert.deepEqual(error.details, { from: 0n, logStart: 2n, highWatermark: 3n })
})

test('what was acknowledged survives kill -9 of the server, and the same log goes on', async () => {
  let kill = 0
  // A minute passes between two kills: a server that dies more often is given up.
  const monotonic = (): number => systemClock.monotonic() + kill * 60_000
  await using cluster = await startTestCluster({ ...systemClock, monotonic })
  await using under = await start(cluster.postgres.url)
  const { log } = await under.openBoth()
  const topic = await createTopic(log, 'trail.kill')
  const acknowledged: bigint[] = []
  for (; kill < scale.logKills; kill++) {
    const life = { isKilled: false }
    const refused = appendUntilRefused(log, () => textRecord(topic, 0, `${kill}`), { acknowledged, life })
    const wanted = acknowledged.length + 50
    // Whoever answered last may have been a survivor of the server before, which ends.
    while (acknowledged.length < wanted)
      await untilAnswers(() =>
        log.read(request(topic, 0, { from: BigInt(acknowledged.length), waitMsMax: 1_000 })),
      )
    life.isKilled = true
    process.kill(cluster.postgres.pid, 'SIGKILL')
    await refused
    await untilAnswers(() => log.bounds(of(topic, 0)))
  }
  const stored = new Set((await readAll(log, topic, 0)).map(({ offset }) => offset))
  assert.ok(acknowledged.length > 0)
  assert.deepEqual(
    acknowledged.filter((offset) => !stored.has(offset)),
    [],
  )
})

/** What is refused in between is tried again. */
async function appendUntilRefused(
  log: PostgresEventLog,
  record: () => ReturnType<typeof textRecord>,
  { acknowledged, life }: { acknowledged: bigint[]; life: { readonly isKilled: boolean } },
): Promise<void> {
  for (;;) {
    try {
      acknowledged.push(...(await log.append([record(), record()])).map(({ offset }) => offset))
    } catch (error) {
      assert.ok(hasCode('LOG_UNAVAILABLE')(error))
      if (life.isKilled) return
    }
  }
}

async function untilAnswers(ask: () => Promise<unknown>): Promise<void> {
  const giveUpAt = systemClock.monotonic() + 20_000
  for (;;) {
    try {
      await ask()
      return
    } catch (error) {
      if (systemClock.monotonic() > giveUpAt) throw error
      await systemClock.sleep(5, AbortSignal.timeout(1_000))
    }
  }
}

/** Waits on the database's own clock. */
async function passTime(database: Database, untilMs: number): Promise<void> {
  await database.query(
    'SELECT pg_sleep(greatest(0, $1::float8 / 1000 - extract(epoch FROM clock_timestamp())))',
    [untilMs],
  )
}
