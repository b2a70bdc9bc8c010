/** An archive or a log that was put back to an older copy: the archiver halts instead of signing another history over it. */
import assert from 'node:assert/strict'
import { cp, rm } from 'node:fs/promises'
import { test } from 'node:test'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import { archivedRows } from '../support/archive-reader.ts'
import { archiveAll, openStage, partitionOf, stepUntilIdle } from '../support/archiver-stage.ts'
import { overridden } from '../support/overridden.ts'

test('an archive that lacks the newest signed heartbeat is refused, and goes on when that is back', async () => {
  await using stage = await openStage()
  const topic = await stage.topic('hooktrail.events.rolled')
  const at = partitionOf(topic)
  const deps = { store: stage.jobs }
  const seat = await stage.seat('a', { deps })
  const signAfter = async (count: number): Promise<void> => {
    await stage.append(at, count)
    await archiveAll(seat.writer(at))
    seat.clock.advance(60_000)
    assert.equal(await seat.heartbeats.step([topic]), 'signed')
  }
  await signAfter(5)
  await cp(stage.directory, `${stage.folder}/older`, { recursive: true })
  await signAfter(5)
  await cp(stage.directory, `${stage.folder}/newer`, { recursive: true })

  await replace(stage.directory, `${stage.folder}/older`)
  await assert.rejects((await stage.seat('b', { deps })).chain.catchUp(), (error) =>
    isHooktrailError(error, 'ARCHIVE_CHAIN_BROKEN'),
  )
  await replace(stage.directory, `${stage.folder}/newer`)
  assert.equal(await (await stage.seat('c', { deps })).chain.catchUp(), 2)
})

async function replace(directory: string, copy: string): Promise<void> {
  await rm(directory, { recursive: true })
  await cp(copy, directory, { recursive: true })
}

test('a log that is put back under an archiver and grows past what was read is told, and what was read is kept', async () => {
  await using stage = await openStage()
  const at = partitionOf(await stage.topic('hooktrail.events.behind'))
  let lost = 0
  const seat = await stage.seat('a', { deps: { lostConnections: () => lost } })
  const writer = seat.writer(at)
  await stage.append(at, 5)
  await archiveAll(writer)
  await stage.append(at, 5)
  lost += 1
  assert.equal(await stepUntilIdle(writer), 'idle', 'the same log behind another connection')
  await stage.append(at, 5)
  await stepUntilIdle(writer)
  await stage.rewind(at, 8n)
  await stage.append(at, 20, 'other')
  lost += 1
  assert.equal(await stepUntilIdle(writer), 'halted')
  const rows = archivedRows(stage.directory).map(({ value }) => value)
  assert.equal(rows.length, 15)
  assert.ok(rows.every((value) => value?.startsWith('event-')))
})

test('a log that is put back under an archiver that has nothing open is told before it is read on', async () => {
  await using stage = await openStage()
  const at = partitionOf(await stage.topic('hooktrail.events.between'))
  let lost = 0
  const writer = (await stage.seat('a', { deps: { lostConnections: () => lost } })).writer(at)
  await stage.append(at, 5)
  await archiveAll(writer)
  await stage.rewind(at, 3n)
  await stage.append(at, 20, 'other')
  lost += 1
  assert.equal(await stepUntilIdle(writer), 'halted')
  assert.equal(archivedRows(stage.directory).length, 5)
})

test('records that come from a log that was put back meanwhile are not joined to those that were read before', async () => {
  await using stage = await openStage()
  const at = partitionOf(await stage.topic('hooktrail.events.under-way'))
  let lost = 0
  let isPutBack = false
  const putBack = async (): Promise<void> => {
    isPutBack = true
    await stage.rewind(at, 3n)
    await stage.append(at, 20, 'other')
    lost += 1
  }
  const log = overridden(stage.log, {
    read: async (request) => {
      if (writer.bufferedBytes > 0 && !isPutBack) await putBack()
      return stage.log.read(request)
    },
  })
  const seat = await stage.seat('a', { deps: { log, lostConnections: () => lost } })
  const writer = seat.writer(at)
  await stage.append(at, 5)
  assert.equal(await stepUntilIdle(writer), 'idle')
  assert.equal(await stepUntilIdle(writer), 'halted')
  const rows = archivedRows(stage.directory).map(({ value }) => value)
  assert.equal(rows.length, 5)
  assert.ok(rows.every((value) => value?.startsWith('event-')))
})
