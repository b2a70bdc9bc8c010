/** Log and archive as one on the smallest size: tables of a real Postgres, and a folder. */
import { chmod, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDirectoryForReading, openDirectoryStore } from '../../adapters/directory/directory-store.ts'
import { createPostgresEventLog } from '../../adapters/postgres/event-log.ts'
import { migrate } from '../../adapters/postgres/migrate.ts'
import { openDatabase } from '../../adapters/postgres/pool.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import { createTestDatabase, silentLogger } from '../support/postgres.ts'
import type { ArchivePlace } from '../support/union-stage.ts'
import { exerciseUnionLog, type UnionPlace } from './union-log.ts'

const PREFIX = 'hooktrail'

exerciseUnionLog('Postgres and a folder', async (): Promise<UnionPlace> => {
  await using undo = new AsyncDisposableStack()
  const database = undo.use(await createTestDatabase())
  const pool = undo.use(
    openDatabase({
      url: database.url,
      connectionsMax: 6,
      applicationName: 'union-test',
      logger: silentLogger,
    }),
  )
  await migrate(pool)
  const log = undo.use(
    await createPostgresEventLog(pool, {
      ...{ topicPrefix: PREFIX, retentionMs: 3_600_000, clock: systemClock, logger: silentLogger },
    }),
  )
  const archive = undo.use(await openFolder())
  const kept = undo.move()
  return {
    ...{ log, topicPrefix: PREFIX, archive, awayCode: 'ARCHIVE_READER_MISSING' },
    deleteTopic: (name) => log.deleteTopic(name),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
})

async function openFolder(): Promise<ArchivePlace> {
  const folder = await mkdtemp(join(tmpdir(), 'hooktrail-union-'))
  const archive = join(folder, 'archive')
  const store = await openDirectoryStore(archive, { clock: systemClock, logger: silentLogger })
  return {
    store,
    // As cli/composition/archive-stores.ts says it.
    open: () =>
      openDirectoryForReading(archive).catch((error: unknown) => {
        throw new HooktrailError('ARCHIVE_READER_MISSING', {}, error)
      }),
    takeAway: () => rename(archive, `${archive}-away`),
    putBack: () => rename(`${archive}-away`, archive),
    tamper: async (key, change) => {
      const file = join(archive, key)
      const original = await readFile(file)
      await chmod(file, 0o644)
      if (change === null) await rm(file)
      else await writeFile(file, change(original))
      return () => writeFile(file, original)
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}
