/** `hooktrail store …` */
import { Command } from 'commander'
import { createLogger } from '../adapters/system/logger.ts'
import { storeMigrateCommand } from './store-migrate.ts'
import { storeRebuildCommand } from './store-rebuild.ts'

export function storeCommand(): Command {
  return new Command('store')
    .description('the database')
    .addCommand(storeMigrateCommand(createLogger('warn')))
    .addCommand(storeRebuildCommand())
}
