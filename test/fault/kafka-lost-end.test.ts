/**
 * A broker that lost the end of its log and grew another one, as after a replica that lagged was made leader: it answers
 * as if nothing had happened. Kafka counts the times of its leaders, and the archive remembers them.
 */
import assert from 'node:assert/strict'
import { cp, rename, rm } from 'node:fs/promises'
import { test } from 'node:test'
import { findHead, fitToLog } from '../../archiver/assign-partition.ts'
import { readManifest } from '../../archiver/notes.ts'
import { manifestKey } from '../../core/archive/keys.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import { of, request } from '../contract/event-log.ts'
import { archiveAll, openStage, partitionOf } from '../support/archiver-stage.ts'
import { openKafkaStage } from '../support/kafka-log.ts'
import { startOrReason } from '../support/services/s3-service.ts'
import { startLocalKafka, type LocalKafka } from '../support/services/kafka.ts'

const kafka = await startOrReason(() => startLocalKafka())
const title = 'a log that lost its end and grew another one is told by its epochs, and its partition halts'

if (typeof kafka === 'string') test(title, { skip: kafka })
else test(title, () => lostEnd(kafka))

async function lostEnd(broker: LocalKafka): Promise<void> {
  await using kafka = broker
  await using clients = await openKafkaStage(kafka.brokers)
  await using stage = await openStage(undefined, clients)
  const topic = await stage.topic(`${stage.topicPrefix}.events.lost`)
  const at = partitionOf(topic)
  await stage.append(at, 1)
  const copy = `${kafka.folder}.copy`
  await kafka.kill('SIGSTOP')
  await cp(kafka.folder, copy, { recursive: true })
  await kafka.kill('SIGCONT')
  await stage.append(at, 2)
  const seat = await stage.seat('a')
  await archiveAll(seat.writer(at))
  const manifest = await readManifest(seat.context, manifestKey(at.topic, at.topicId, at.partition, 0n))
  const [first] = manifest?.manifest.leader_epochs ?? []
  assert.equal(first?.start, '0')
  await kafka.kill('SIGKILL')
  await rm(kafka.folder, { recursive: true })
  await rename(copy, kafka.folder)
  await kafka.restart()
  await stage.append(at, 5)
  const { leaderEpochs, highWatermark } = await stage.log.read(request(topic, 0))
  assert.equal(highWatermark, 6n, 'the log is longer than what was archived of it')
  assert.deepEqual(
    leaderEpochs?.map(({ start }) => start),
    [0n, 1n],
  )
  assert.equal(await stage.log.epochEnd(of(topic, 0), first.epoch), 1n)
  const { context, ...other } = await stage.seat('b')
  const [head, bounds] = [await findHead(context, at, null), await stage.log.bounds(at)]
  await assert.rejects(fitToLog(context, { at, head, signed: null, bounds }), (error: unknown) => {
    assert.ok(isHooktrailError(error, 'ARCHIVE_FORK'))
    const { epoch, epochEnd, archived } = error.details
    assert.deepEqual({ epoch, epochEnd, archived }, { epoch: first.epoch, epochEnd: '1', archived: '3' })
    return true
  })
  assert.equal(await other.writer(at).step(), 'halted')
}
