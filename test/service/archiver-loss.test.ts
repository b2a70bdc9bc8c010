/**
 * What the log may forget, and what it says when it forgot too much: the cut waits for the archive and for a heartbeat,
 * and for no handler; a loss is signed; a topic that was made again gets a chain of its own.
 */
import assert from 'node:assert/strict'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { startArchiver } from '../../archiver/archiver-service.ts'
import { cutStep } from '../../archiver/cut-log.ts'
import { KeptSegments } from '../../archiver/kept-segments.ts'
import { closeChain } from '../../archiver/close-chain.ts'
import { LogTopics } from '../../archiver/log-topics.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import type { LogConfig } from '../../core/config/config.ts'
import {
  archiveAll,
  openStage,
  partitionOf,
  PREFIX,
  SETTINGS,
  stepUntilIdle,
} from '../support/archiver-stage.ts'

const LOG: LogConfig = {
  kafka: null,
  topicPrefix: PREFIX,
  partitions: 1,
  retentionMs: 3_600_000,
  disk: { capacityBytes: null, alarmRatio: 0.7, shedRatio: 0.9 },
}

const NONE: ReadonlySet<string> = new Set()

test('offsets that the log forgot before they were archived are signed as a loss', async () => {
  await using stage = await openStage()
  const at = partitionOf(await stage.topic('hooktrail.events.lost'))
  const seat = await stage.seat('a')
  const writer = seat.writer(at)
  await stage.append(at, 10)
  await archiveAll(writer)
  await seat.heartbeats.step(await stage.log.topics())
  await stage.append(at, 10, 'lost')
  await stage.log.truncate(at, 15n)
  await archiveAll((await stage.seat('b')).writer(at))
  const report = await stage.verify()
  assert.equal(report.exitCode, 2)
  assert.match(
    report.findings.map(({ text }) => text).join(),
    /offsets 10 to 14 are declared lost: retention-loss/,
  )
})

test('a topic that was made again has a chain of its own, and the old one is closed', async () => {
  await using stage = await openStage()
  const at = partitionOf(await stage.topic('hooktrail.events.again'))
  const seat = await stage.seat('a')
  await stage.append(at, 4)
  await archiveAll(seat.writer(at))
  await stage.append(at, 3)
  await seat.heartbeats.step(await stage.log.topics())
  await stage.deleteTopic(at.topic)
  const again = partitionOf(await stage.topic(at.topic))
  await stage.append(again, 6, 'again')
  const signed = seat.chain.row(at)
  assert(signed !== null)
  await closeChain(seat.context, signed)
  await archiveAll(seat.writer(again))
  seat.clock.advance(60_000)
  assert.equal(await seat.heartbeats.step(await stage.log.topics()), 'signed')
  const report = await stage.verify()
  assert.equal(report.exitCode, 2)
  assert.match(
    report.findings.map(({ text }) => text).join(),
    /offsets 4 to 6 are declared lost: topic-deleted/,
  )
})

test('an archiver that has not heard of a topic that was made again leaves the new chain to who writes it', async () => {
  await using stage = await openStage()
  const at = partitionOf(await stage.topic('hooktrail.events.unheard'))
  const seat = await stage.seat('a')
  const { context, chain } = seat
  const topics = new LogTopics({ context, chain, topicPrefix: PREFIX, writers: () => [] })
  await topics.fresh()
  await stage.deleteTopic(at.topic)
  const again = partitionOf(await stage.topic(at.topic))
  await stage.append(again, 6, 'again')
  const other = await stage.seat('b')
  await other.heartbeats.step(await stage.log.topics())
  await chain.catchUp()
  await topics.closeReplaced()
  await archiveAll(other.writer(again))
  other.clock.advance(60_000)
  assert.equal(await other.heartbeats.step(await stage.log.topics()), 'signed')
  await stage.check([again])
})

test('what an archiver still holds of a range that another one signed away does not lie beside it', async () => {
  await using stage = await openStage()
  const at = partitionOf(await stage.topic('hooktrail.events.late'))
  const slow = await stage.seat('slow')
  const writer = slow.writer(at)
  await stage.append(at, 6)
  assert.equal(await stepUntilIdle(writer), 'idle')
  const seat = await stage.seat('a')
  await seat.heartbeats.step(await stage.log.topics())
  await stage.deleteTopic(at.topic)
  await stage.topic(at.topic)
  const signed = seat.chain.row(at)
  assert(signed !== null)
  await closeChain(seat.context, signed)
  assert.equal(await stepUntilIdle(writer), 'waiting', 'the log has no such topic any more')
  slow.clock.advance(30_000)
  await stepUntilIdle(writer)
  assert.equal(writer.isFlushed, true)
  assert.deepEqual(
    slow.archive.created.filter((key) => key.startsWith('data/')),
    [],
  )
  const report = await stage.verify()
  assert.equal(report.exitCode, 2, JSON.stringify(report.findings))
})

test('the cut needs no job store', async () => {
  await using stage = await openStage()
  const topic = await stage.topic('hooktrail.events.uncut')
  const seat = await stage.seat('a')
  await stage.append(partitionOf(topic), 4)
  await archiveAll(seat.writer(partitionOf(topic)))
  await seat.heartbeats.step([topic])
  seat.clock.advance(60_000)
  const request = {
    topics: [topic],
    chain: seat.chain,
    retentionMs: 0,
    halted: NONE,
    kept: new KeptSegments(),
  }
  assert.equal(await cutStep(seat.context, request), 1)
  assert.equal((await stage.log.bounds(partitionOf(topic))).logStart, 4n)
})

test('the log keeps what the store has lost, and is cut up to there', async () => {
  await using stage = await openStage()
  const topic = await stage.topic('hooktrail.events.lost')
  const at = partitionOf(topic)
  const seat = await stage.seat('a')
  for (let segment = 0; segment < 3; segment++) {
    await stage.append(at, 4)
    await archiveAll(seat.writer(at))
  }
  await seat.heartbeats.step([topic])
  seat.clock.advance(60_000)
  const kept = new KeptSegments()
  const cut = async (): Promise<bigint> => {
    await cutStep(seat.context, { topics: [topic], chain: seat.chain, retentionMs: 0, halted: NONE, kept })
    return (await stage.log.bounds(at)).logStart
  }
  const [, second = ''] = seat.archive.created.filter((key) => key.startsWith('data/'))
  const file = join(stage.folder, 'archive', second)
  const bytes = await readFile(file)
  await rm(file)
  assert.equal(await cut(), 4n, 'up to the segment that is missing')
  await writeFile(file, bytes.subarray(1))
  assert.equal(await cut(), 4n, 'it is not whole')
  await writeFile(file, bytes)
  assert.equal(await cut(), 12n, 'it was put back')
})

test('a whole archiver archives, and at its end flushes and signs what it has', async () => {
  await using stage = await openStage()
  const at = partitionOf(await stage.topic('hooktrail.events.whole'))
  await stage.append(at, 50)
  const seat = await stage.seat('whole')
  const deps = stage.deps('whole', { deps: { spoolDirectory: `${stage.folder}/spool` } })
  const archiver = await startArchiver({ archive: SETTINGS, log: LOG }, { ...deps, clock: seat.clock })
  while (archiver.status().lagRecords !== 50n) {
    seat.clock.advance(40_000)
    await systemClock.sleep(5, new AbortController().signal)
  }
  await archiver.stop()
  await stage.check([at])
  assert.equal((await stage.verify()).unwitnessedManifests, 0)
})

test('the cut waits for the archive, for its heartbeat and for the retention, and for no handler', async () => {
  await using stage = await openStage()
  const topic = await stage.topic('hooktrail.events.cut')
  const at = partitionOf(topic)
  const seat = await stage.seat('a', { deps: { store: stage.jobs } })
  const cut = async (retentionMs: number): Promise<bigint> => {
    await cutStep(seat.context, {
      topics: [topic],
      chain: seat.chain,
      retentionMs,
      halted: NONE,
      kept: new KeptSegments(),
    })
    return (await stage.log.bounds(at)).logStart
  }
  await stage.append(at, 10)
  seat.clock.advance(60_000)
  await stage.jobs.ensureIndex(at.topicId, 0, 10n)
  assert.equal(await cut(0), 0n, 'nothing is archived')
  await archiveAll(seat.writer(at))
  assert.equal(await cut(0), 0n, 'no heartbeat covers it')
  await seat.heartbeats.step([topic])
  assert.equal(await cut(3_600_000), 0n, 'it is not old enough')
  await stage.jobs.registerHandler({
    handler: 'slow',
    source: 'cut',
    positions: [{ topicId: at.topicId, partition: 0, next: 6n, first: 0n }],
  })
  assert.equal(await cut(0), 10n, 'whoever is behind reads on in the archive')
})
