/**
 * What somebody does to the places that a running archiver works with: its spool, its archive's folder and disk, its
 * database, its key. Each time: it says so, writes nothing wrong, loses nothing, and goes on where that is possible.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { chmod, cp, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { partitionKey } from '../../archiver/archiver-context.ts'
import { cutStep } from '../../archiver/cut-log.ts'
import { KeptSegments } from '../../archiver/kept-segments.ts'
import { makeSigner, parseVerifierKey } from '../../core/archive/signed-note.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { Logger } from '../../core/log.ts'
import {
  archiveAll,
  openStage,
  partitionOf,
  stepUntilIdle,
  type ArchiverStage,
} from '../support/archiver-stage.ts'
import { silentLogger } from '../support/postgres.ts'
import { messageOf } from '../../core/error/message-of.ts'

/** Enough for several writes into the spool's file. */
const LARGE = 'x'.repeat(900)

test('a spool that is removed while a segment is open or sealed is made again from the log', async () => {
  await using stage = await openStage()
  const spoolDirectory = join(stage.folder, 'spool')
  const at = partitionOf(await stage.topic('hooktrail.events.spool'))
  const seat = await stage.seat('a', { deps: { spoolDirectory } })
  const writer = seat.writer(at)
  const removeSpool = (): Promise<void> => rm(spoolDirectory, { recursive: true, force: true })
  await stage.append(at, 1000, LARGE)
  await stepUntilIdle(writer)
  await removeSpool()
  await archiveAll(writer)
  seat.clock.advance(30_000)
  await stage.append(at, 1000, LARGE)
  await stepUntilIdle(writer)
  await writer.seal()
  await removeSpool()
  await stepUntilIdle(writer)
  seat.clock.advance(30_000)
  assert.equal(await archiveAll(writer), 'idle')
  await seat.heartbeats.step(await stage.log.topics())
  await stage.check([at])
})

test('nothing is written into an empty folder or a foreign archive in the archive’s place, and it goes on behind', async () => {
  await using stage = await openStage()
  await using other = await openStage()
  await other.seat('other')
  const topic = await stage.topic('hooktrail.events.replaced')
  const at = partitionOf(topic)
  const logged: string[] = []
  const logger: Logger = {
    ...silentLogger,
    warn: (fields) => {
      logged.push(String(fields['error']))
    },
  }
  const seat = await stage.seat('a', { deps: { logger } })
  const writer = seat.writer(at)
  await stage.append(at, 5)
  await archiveAll(writer)
  await seat.heartbeats.step([topic])
  const aside = join(stage.folder, 'aside')
  for (const place of [
    (): Promise<unknown> => mkdir(stage.directory),
    (): Promise<void> => cp(other.directory, stage.directory, { recursive: true }),
  ]) {
    await stage.append(at, 5)
    await stepUntilIdle(writer)
    await rename(stage.directory, aside)
    await place()
    const before = await readdir(stage.directory, { recursive: true })
    seat.clock.advance(60_000)
    assert.equal(await archiveAll(writer), 'waiting')
    await assert.rejects(seat.heartbeats.step([topic]), (error) =>
      isHooktrailError(error, 'ARCHIVE_REPLACED'),
    )
    assert.deepEqual(await readdir(stage.directory, { recursive: true }), before)
    assert.match(logged.at(-1) ?? '', /another archive, or none, lies where/)
    await rm(stage.directory, { recursive: true })
    await rename(aside, stage.directory)
    seat.clock.advance(60_000)
    assert.equal(await archiveAll(writer), 'idle')
    await seat.heartbeats.step([topic])
    await stage.check([at])
  }
})

test('while the archive may not be written the archiver waits and says why, and then goes on', async (t) => {
  await using stage = await openStage()
  const bar = writeBar(t, stage)
  if (bar === null) return
  const topic = await stage.topic('hooktrail.events.barred')
  const at = partitionOf(topic)
  const seat = await stage.seat('a')
  const writer = seat.writer(at)
  await stage.append(at, 20)
  try {
    await bar.close()
    for (let n = 0; n < 3; n++) {
      assert.equal(await archiveAll(writer), 'waiting')
      assert.match(writer.status().retryingBecause ?? '', /may not be read or written/)
      seat.clock.advance(30_000)
    }
    await assert.rejects(seat.heartbeats.step([topic]), (error) =>
      isHooktrailError(error, 'ARCHIVE_STORE_DENIED'),
    )
    await bar.open()
    seat.clock.advance(60_000)
    assert.equal(await archiveAll(writer), 'idle')
    await seat.heartbeats.step([topic])
    await stage.check([at])
  } finally {
    await bar.end()
  }
})

interface WriteBar {
  close(): Promise<void>
  open(): Promise<void>
  end(): Promise<void>
}

/** Modes bar everybody but root; root's disk is mounted read-only. Null, and said so, where neither can be done. */
function writeBar(t: TestContext, { directory }: ArchiverStage): WriteBar | null {
  const tmp = join(directory, 'tmp')
  if (process.getuid?.() !== 0) {
    const set = (mode: number) => () => chmod(tmp, mode)
    return { close: set(0o500), open: set(0o700), end: set(0o700) }
  }
  const mount = (...args: string[]): Promise<void> => {
    execFileSync('mount', args, { stdio: 'ignore' })
    return Promise.resolve()
  }
  try {
    execFileSync('mount', ['--bind', directory, directory], { stdio: 'ignore' })
  } catch (error) {
    t.skip(`not run here: mounting is not permitted (${messageOf(error)})`)
    return null
  }
  return {
    close: () => mount('-o', 'remount,bind,ro', directory),
    open: () => mount('-o', 'remount,bind,rw', directory),
    end: () => {
      execFileSync('umount', ['-l', directory])
      return Promise.resolve()
    },
  }
}

test('a log that was put back halts the partition, before and after it has grown past the archive, and is not cut', async () => {
  await using stage = await openStage()
  const topic = await stage.topic('hooktrail.events.travelled')
  const at = partitionOf(topic)
  const seat = await stage.seat('a', { deps: { store: stage.jobs } })
  await stage.append(at, 10)
  await archiveAll(seat.writer(at))
  await seat.heartbeats.step([topic])
  await stage.jobs.ensureIndex(at.topicId, 0, 10n)
  await stage.rewind(at, 4n)
  for (const count of [0, 20]) {
    if (count > 0) await stage.append(at, count, 'again')
    const back = await stage.seat('back', { deps: { store: stage.jobs } })
    await back.chain.catchUp()
    const writer = back.writer(at)
    assert.equal(await archiveAll(writer), 'halted')
    assert.match(writer.status().haltedBy ?? '', /does not go on from what the archive already holds/)
    back.clock.advance(60_000)
    const halted = new Set(count === 0 ? [] : [partitionKey(at)])
    await cutStep(back.context, {
      topics: [topic],
      chain: back.chain,
      retentionMs: 0,
      halted,
      kept: new KeptSegments(),
    })
    assert.equal((await stage.log.bounds(at)).logStart, 0n)
  }
  assert.equal((await stage.verify()).exitCode, 0)
})

test('an archiver with another signing key is refused by the archive and leaves it as it is', async () => {
  await using stage = await openStage()
  const topic = await stage.topic('hooktrail.events.key')
  const at = partitionOf(topic)
  const seat = await stage.seat('a')
  await stage.append(at, 5)
  await archiveAll(seat.writer(at))
  await seat.heartbeats.step([topic])
  const before = await readdir(stage.directory, { recursive: true })
  const signer = makeSigner(generateKeyPairSync('ed25519').privateKey, 'hooktrail-archive')
  const deps = { signer, verifiers: [parseVerifierKey(signer.vkey)] }
  await assert.rejects(stage.seat('b', { deps }), (error) => isHooktrailError(error, 'ARCHIVE_NOTE_INVALID'))
  assert.deepEqual(await readdir(stage.directory, { recursive: true }), before)
  await stage.check([at])
})
