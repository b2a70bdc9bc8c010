/**
 * What lies in open segments is signed with the next heartbeat, whoever signs it; and an archiver that finds other
 * records in the log than were signed halts instead of archiving them.
 */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { HeartbeatWriter } from '../../archiver/heartbeat-writer.ts'
import { PartitionWriter } from '../../archiver/partition-writer.ts'
import { RunningRoots } from '../../archiver/running-roots.ts'
import { signRoots, type OpenRoot } from '../../core/archive/running-roots.ts'
import { makeSigner } from '../../core/archive/signed-note.ts'
import type { Topic } from '../../core/ports/event-log.ts'
import {
  archiveAll,
  openStage,
  partitionOf,
  stepUntilIdle,
  type ArchiverSeat,
  type ArchiverStage,
  type SeatOptions,
} from '../support/archiver-stage.ts'
import { overridden } from '../support/overridden.ts'

interface Archiver extends ArchiverSeat {
  readonly partition: PartitionWriter
  readonly running: RunningRoots
  sign(): Promise<void>
}

/** One archiver with one partition, and heartbeats that take up what is known of open segments. */
async function takeSeat(
  stage: ArchiverStage,
  topic: Topic,
  { instance, ...options }: SeatOptions & { readonly instance: string },
): Promise<Archiver> {
  const seat = await stage.seat(instance, options)
  await seat.chain.catchUp()
  const partition = seat.writer(partitionOf(topic))
  const openRoots = (): readonly OpenRoot[] => {
    const root = partition.openRoot()
    return root === null ? [] : [root]
  }
  const running = new RunningRoots(seat.context, { openRoots })
  const heartbeats = new HeartbeatWriter(seat.context, seat.chain, { running })
  const sign = async (): Promise<void> => {
    seat.clock.advance(60_000)
    assert.equal(await heartbeats.step([topic]), 'signed')
  }
  return { ...seat, partition, running, sign }
}

test('what lies in an open segment is signed, and comes out of the segments that hold it', async () => {
  await using stage = await openStage()
  const topic = await stage.topic('hooktrail.events.running')
  const at = partitionOf(topic)
  const archiver = await takeSeat(stage, topic, { instance: 'a' })
  for (const next of ['5', '10']) {
    await stage.append(at, 5)
    await stepUntilIdle(archiver.partition)
    await archiver.sign()
    assert.equal(archiver.chain.row(at)?.running?.next, next)
  }
  // It dies; another one makes smaller segments of the same records.
  const settings = { roll: { bytesMax: 1 << 20, recordsMax: 4, ageMsMax: 600_000 } }
  const next = await takeSeat(stage, topic, { instance: 'b', settings, clock: archiver.clock })
  await archiveAll(next.partition)
  await next.sign()
  assert.equal(next.chain.row(at)?.running, null)
  await stage.check([at])
})

test('roots pass through the job store to whoever signs, unless another key signed them', async () => {
  await using stage = await openStage()
  const topic = await stage.topic('hooktrail.events.posted')
  const at = partitionOf(topic)
  const deps = { store: stage.jobs }
  const archiver = await takeSeat(stage, topic, { instance: 'a', deps })
  const signing = await takeSeat(stage, topic, { instance: 'b', deps })
  assert.equal(await archiver.running.post(), false, 'nothing is open yet')
  await stage.append(at, 3)
  await stepUntilIdle(archiver.partition)
  const forged = makeSigner(generateKeyPairSync('ed25519').privateKey, 'hooktrail-archive')
  const roots = [{ at, start: 0n, next: 4n, root: 'ab'.repeat(32) }]
  const posted = { archiveId: archiver.context.archiveId, postedAt: '2026-01-01T00:00:00.000Z', writer: 'c' }
  await stage.jobs.postRunningRoots('c', await signRoots({ ...posted, roots }, forged))
  assert.equal(await archiver.running.post(), true)
  await signing.sign()
  assert.deepEqual(signing.chain.row(at)?.running, {
    next: '3',
    root: archiver.partition.openRoot()?.root,
  })
  await archiveAll(archiver.partition)
  assert.equal(await archiver.running.post(), true, 'that nothing is open any more is told once')
  assert.equal(await archiver.running.post(), false)
  await stage.check([at])
})

test('a log that has other records than were signed halts; archived all the same, they are found', async () => {
  await using stage = await openStage()
  const topic = await stage.topic('hooktrail.events.replaced')
  const at = partitionOf(topic)
  const archiver = await takeSeat(stage, topic, { instance: 'a' })
  await stage.append(at, 2)
  await archiveAll(archiver.partition)
  await stage.append(at, 5)
  await stepUntilIdle(archiver.partition)
  await archiver.sign()
  await stage.rewind(at, 4n)
  await stage.append(at, 5, 'other')
  const careful = await takeSeat(stage, topic, { instance: 'b' })
  assert.equal(await stepUntilIdle(careful.partition), 'halted')
  assert.match(careful.partition.status().haltedBy ?? '', /does not go on from what the archive/)
  const blind = new PartitionWriter(careful.context, at, () => null)
  await archiveAll(blind)
  const { exitCode, findings } = await stage.verify()
  assert.equal(exitCode, 1)
  const found = findings.filter(({ severity }) => severity === 'altered')
  assert.deepEqual(
    found.map(({ code, offset }) => [code, offset]),
    [['running-contradicted', '2']],
  )
})

test('what was observed before another heartbeat came into the chain is not signed behind it', async () => {
  await using stage = await openStage()
  const topics = [await stage.topic('hooktrail.events.first'), await stage.topic('hooktrail.events.second')]
  const [first, second] = topics.map(partitionOf)
  assert.ok(first !== undefined && second !== undefined)
  const other = await stage.seat('b')
  let isSigned = false
  const signMeanwhile = async (): Promise<void> => {
    isSigned = true
    await archiveAll(other.writer(first))
    other.clock.advance(60_000)
    assert.equal(await other.heartbeats.step(topics), 'signed')
    await seat.chain.catchUp()
  }
  const log = overridden(stage.log, {
    bounds: async (at) => {
      if (at.topicId === second.topicId && !isSigned) await signMeanwhile()
      return stage.log.bounds(at)
    },
  })
  const seat = await stage.seat('a', { deps: { log } })
  await stage.append(first, 5)
  seat.clock.advance(60_000)
  assert.equal(await seat.heartbeats.step(topics), 'lost')
  seat.clock.advance(60_000)
  await stage.append(first, 5)
  await archiveAll(seat.writer(first))
  assert.equal(await seat.heartbeats.step(topics), 'signed')
  await stage.check([first])
})
