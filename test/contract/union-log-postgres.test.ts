/** Log and archive as one on the smallest size: tables of a real Postgres, and a folder. */
import { createPostgresEventLog } from '../../adapters/postgres/event-log.ts'
import { migrate } from '../../adapters/postgres/migrate.ts'
import { openDatabase } from '../../adapters/postgres/pool.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import { openArchiveFolder } from '../support/archive-folder.ts'
import { createMigratedDatabase, silentLogger } from '../support/postgres.ts'
import { exerciseUnionLog, type UnionPlace } from './union-log.ts'

const PREFIX = 'hooktrail'

exerciseUnionLog('Postgres and a folder', async (): Promise<UnionPlace> => {
  await using undo = new AsyncDisposableStack()
  const database = undo.use(await createMigratedDatabase())
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
  const archive = undo.use(await openArchiveFolder())
  const kept = undo.move()
  return {
    ...{ log, topicPrefix: PREFIX, archive, awayCode: 'ARCHIVE_READER_MISSING' },
    deleteTopic: (name) => log.deleteTopic(name),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
})
