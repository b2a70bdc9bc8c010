/** The command line. One file a command; errors end here, with their four parts. */
import { Command } from 'commander'
import { packageVersion } from './composition/package-root.ts'
import { archiveCatCommand } from './archive-cat.ts'
import { archiveFindCommand, archiveIndexCommand } from './archive-find.ts'
import { archiveInitCommand } from './archive-init.ts'
import { archiveLsCommand } from './archive-ls.ts'
import { archiveHoldCommands } from './archive-hold.ts'
import { archiveProbeCommand } from './archive-probe.ts'
import { archiveProveCommand } from './archive-prove.ts'
import { archiveStatusCommand } from './archive-status.ts'
import { archiveVerifyCommand } from './archive-verify.ts'
import { benchCommand } from './bench.ts'
import { createLogger } from '../adapters/system/logger.ts'
import { eventsCommand } from './events.ts'
import { exportCommand } from './export-events.ts'
import { handlersCommand } from './handlers.ts'
import { initCommand } from './init.ts'
import { jobsCommand } from './jobs.ts'
import { keysShowCommand, keysSigningCommand } from './keys-show.ts'
import { moveCommand } from './move.ts'
import { replayCommand } from './replay.ts'
import { reportCommand } from './report.ts'
import { reportError } from './report-error.ts'
import { sendCommand } from './send.ts'
import { singleCommands, startCommand } from './start.ts'
import { statusCommand } from './status.ts'
import { storeMigrateCommand } from './store-migrate.ts'
import { storeRebuildCommand } from './store-rebuild.ts'
import { validateCommand } from './validate.ts'

const EXIT_USAGE = 64

const program = new Command('hooktrail')
  .description(
    'Receives webhooks, keeps them in a durable log, delivers them with retries, archives them verifiably',
  )
  .version(packageVersion())
  // `replay` has options of its own and commands with the same ones.
  .enablePositionalOptions()
  .addHelpText(
    'after',
    '\nExamples:\n  hooktrail start\n  hooktrail status\n  hooktrail jobs list --status dead',
  )

const group = (name: string, about: string): Command => program.command(name).description(about)

program.addCommand(startCommand())
for (const command of singleCommands()) program.addCommand(command)
for (const command of [initCommand(), validateCommand(), sendCommand(), statusCommand()])
  program.addCommand(command)
for (const command of [
  eventsCommand(),
  jobsCommand(),
  handlersCommand(),
  replayCommand(),
  reportCommand(),
  benchCommand(),
  moveCommand(),
])
  program.addCommand(command)
group('export', 'print what is stored, as JSONL').addCommand(exportCommand())
group('keys', 'public keys of the archive and of signatures')
  .addCommand(keysShowCommand())
  .addCommand(keysSigningCommand())
group('store', 'the database')
  .addCommand(storeMigrateCommand(createLogger('warn')))
  .addCommand(storeRebuildCommand())
const archive = group('archive', 'the archive: most need only its folder or bucket')
for (const command of [
  archiveVerifyCommand(),
  archiveProveCommand(),
  archiveFindCommand(),
  archiveIndexCommand(),
  archiveCatCommand(),
  archiveLsCommand(),
  archiveStatusCommand(),
  archiveInitCommand(),
  archiveProbeCommand(),
  ...archiveHoldCommands(),
])
  archive.addCommand(command)

exitWithUsage(program)
try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = reportError(error)
}

/** What commander itself refuses is a fault of usage. */
function exitWithUsage(command: Command): void {
  command.exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : EXIT_USAGE))
  for (const child of command.commands) exitWithUsage(child)
}
