/** What the archiver says about itself: a figure only for what was looked at, and none for what nobody here knows. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createPrometheusMetrics, exposition } from '../../adapters/http/metrics.ts'
import { archiverStatus, publishStatus, type ArchiverStatus } from '../../archiver/archiver-status.ts'
import type { PartitionWriter } from '../../archiver/partition-writer.ts'
import type { Topic } from '../../core/ports/event-log.ts'
import {
  archiveAll,
  openStage,
  partitionOf,
  stepUntilIdle,
  type ArchiverSeat,
  type ArchiverStage,
} from '../support/archiver-stage.ts'

let stage: ArchiverStage

before(async () => {
  stage = await openStage()
})
after(async () => {
  await stage[Symbol.asyncDispose]()
})

function statusOf(
  { context }: ArchiverSeat,
  writers: readonly PartitionWriter[],
  logTopics: readonly Topic[] | null,
): ArchiverStatus {
  const statuses = writers.map((writer) => writer.status())
  return archiverStatus(context, {
    ...{ logTopics, writers: statuses, newest: null, chainFault: null, waitsFor: null },
  })
}

test('a lag is not known before the log was asked, nor before each partition was looked at', async () => {
  const seat = await stage.seat('a')
  const topic = await stage.topic('hooktrail.events.status-start', 2)
  const writers = [seat.writer(partitionOf(topic, 0)), seat.writer(partitionOf(topic, 1))] as const
  assert.equal(statusOf(seat, [], null).lagSeconds, null)
  assert.equal(statusOf(seat, [], [topic]).lagSeconds, null)
  await stepUntilIdle(writers[0])
  assert.equal(statusOf(seat, writers, [topic]).lagSeconds, null)
  await stepUntilIdle(writers[1])
  const { lagRecords, lagSeconds } = statusOf(seat, writers, [topic])
  assert.deepEqual([lagRecords, lagSeconds], [0n, 0])
  assert.equal(statusOf(seat, writers.slice(1), [topic]).lagSeconds, null, 'one is archived elsewhere')
})

test('while the archive cannot be written the lag grows, and is not known where nothing was waiting', async () => {
  const seat = await stage.seat('a')
  const topic = await stage.topic('hooktrail.events.status-down')
  const writer = seat.writer(partitionOf(topic))
  await stage.append(partitionOf(topic), 7)
  seat.archive.fail('segments/', 'before')
  assert.equal(await archiveAll(writer), 'waiting')
  seat.clock.advance(3_600_000)
  const { lagRecords, lagSeconds } = statusOf(seat, [writer], [topic])
  assert.equal(lagRecords, 7n)
  assert(lagSeconds !== null && lagSeconds > 3_500, String(lagSeconds))
  assert.equal(statusOf(seat, [writer], [topic]).topics[0]?.marginRecords, 0n, 'the next to be cut waits')
  assert.equal(await archiveAll(writer), 'idle')
  assert.equal(statusOf(seat, [writer], [topic]).lagSeconds, 0)
  assert.equal(statusOf(seat, [writer], [topic]).topics[0]?.marginRecords, null, 'nothing waits')
  await stage.append(partitionOf(topic), 3)
  await stepUntilIdle(writer)
  assert.equal(statusOf(seat, [writer], [topic]).topics[0]?.marginRecords, 7n)
})

test('a gauge is absent until its value is known, and again when it is no longer', async () => {
  const seat = await stage.seat('a')
  const topic = await stage.topic('hooktrail.events.status-gauge')
  const writer = seat.writer(partitionOf(topic))
  const metrics = createPrometheusMetrics()
  const context = { ...seat.context, metrics }
  const values = async (): Promise<readonly string[]> =>
    (await exposition([await metrics.samples()]))
      .split('\n')
      .filter((line) => /^hooktrail_(archive_lag|heartbeat_age)/.test(line))
  assert.deepEqual(await values(), [])
  publishStatus(context.metrics, statusOf(seat, [writer], [topic]))
  assert.deepEqual(await values(), [])
  await stepUntilIdle(writer)
  publishStatus(context.metrics, statusOf(seat, [writer], [topic]))
  assert.deepEqual(await values(), [
    'hooktrail_archive_lag_records{topic="hooktrail.events.status-gauge"} 0',
    'hooktrail_archive_lag_seconds{topic="hooktrail.events.status-gauge"} 0',
  ])
  publishStatus(context.metrics, statusOf(seat, [], [topic]))
  assert.deepEqual(await values(), [])
})
