/** One archiver on a real log and a real store: what it writes is what the log holds, and how segments roll. Crashes: test/fault. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import {
  archiveAll,
  openStage,
  partitionOf,
  stepUntilIdle,
  type ArchiverStage,
} from '../support/archiver-stage.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'

let stage: ArchiverStage

before(async () => {
  stage = await openStage()
})
after(async () => {
  await stage[Symbol.asyncDispose]()
})

test('what was appended is archived under a signed chain and a heartbeat', async () => {
  const topic = await stage.topic('hooktrail.events.plain', 2)
  const partitions = [partitionOf(topic, 0), partitionOf(topic, 1)]
  const seat = await stage.seat('a')
  for (const at of partitions) await stage.append(at, 120)
  for (const at of partitions) assert.equal(await archiveAll(seat.writer(at)), 'idle')
  assert.equal(await seat.heartbeats.step(await stage.log.topics()), 'signed')
  await stage.check(partitions)
})

test('segments roll by records and go on where the one before ended', async () => {
  const at = partitionOf(await stage.topic('hooktrail.events.rolls'))
  const seat = await stage.seat('a', {
    settings: { roll: { bytesMax: 1 << 26, recordsMax: 40, ageMsMax: 600_000 } },
  })
  await stage.append(at, 100)
  await archiveAll(seat.writer(at))
  assert.deepEqual(
    seat.archive.created
      .filter((key) => key.startsWith('segments/'))
      .map((key) => Number(key.slice(-25, -5))),
    [0, 40, 80],
  )
  await stage.check([at])
})

test('a segment larger than what is kept in memory goes through the spool', async () => {
  const at = partitionOf(await stage.topic('hooktrail.events.large'))
  const seat = await stage.seat('a')
  for (let n = 0; n < 4; n++) await stage.append(at, 1000, 'x'.repeat(400))
  await archiveAll(seat.writer(at))
  await stage.check([at])
})

test('a quiet tail is rolled when it is old', async () => {
  const at = partitionOf(await stage.topic('hooktrail.events.quiet'))
  const seat = await stage.seat('a')
  const writer = seat.writer(at)
  await stage.append(at, 3)
  assert.equal(await stepUntilIdle(writer), 'idle')
  assert.equal(writer.isFlushed, false)
  seat.clock.advance(600_000)
  assert.equal(await stepUntilIdle(writer), 'idle')
  assert.equal(writer.isFlushed, true)
  await stage.check([at])
})

test('a full store loses nothing and archiving goes on when space returns', async () => {
  const at = partitionOf(await stage.topic('hooktrail.events.full'))
  const seat = await stage.seat('a')
  const writer = seat.writer(at)
  await stage.append(at, 20)
  seat.archive.fail('data/', 'before', 3, new HooktrailError('ARCHIVE_STORE_FULL'))
  for (let n = 0; n < 3; n++) {
    assert.equal(await archiveAll(writer), 'waiting')
    seat.clock.advance(30_000)
  }
  await stage.append(at, 20, 'later')
  assert.equal(await archiveAll(writer), 'idle')
  await stage.check([at])
})
