/** An archive that was put back to an older copy: the archiver halts instead of signing another history over it. */
import assert from 'node:assert/strict'
import { cp, rm } from 'node:fs/promises'
import { test } from 'node:test'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import { archiveAll, openStage, partitionOf } from '../support/archiver-stage.ts'

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
