/** `hooktrail store migrate`: brings a database that is given by its URL to the schema of this version, and says what it did. */
import { Command } from 'commander'
import { migrate } from '../adapters/postgres/migrate.ts'
import { openDatabase } from '../adapters/postgres/pool.ts'
import { requireDurableSettings } from '../adapters/postgres/session.ts'
import type { Logger } from '../core/log.ts'

export function storeMigrateCommand(logger: Logger): Command {
  return new Command('migrate')
    .description('bring the database to the schema of this version (every process does so at start, too)')
    .requiredOption('--url <url>', 'postgresql://user@host/database', process.env['HOOKTRAIL_DATABASE_URL'])
    .addHelpText(
      'after',
      '\nExamples:\n  hooktrail store migrate --url postgresql://hooktrail@db.internal/hooktrail',
    )
    .action(async ({ url }: { url: string }) => {
      await using database = openDatabase({
        url,
        connectionsMax: 1,
        applicationName: 'hooktrail-migrate',
        logger,
      })
      await requireDurableSettings(database)
      const { applied, version } = await migrate(database)
      for (const name of applied) console.log(`applied ${name}`)
      console.log(
        applied.length === 0 ? `nothing to do: the schema is at ${version}` : `the schema is at ${version}`,
      )
    })
}
