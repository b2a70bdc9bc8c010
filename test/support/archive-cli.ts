/** Runs one archive command as a process of its own: `node test/support/archive-cli.ts verify …`. */
import { Command } from 'commander'
import { archiveCatCommand } from '../../cli/archive-cat.ts'
import { archiveFindCommand, archiveIndexCommand } from '../../cli/archive-find.ts'
import { archiveLsCommand } from '../../cli/archive-ls.ts'
import { archiveProveCommand } from '../../cli/archive-prove.ts'
import { archiveStatusCommand } from '../../cli/archive-status.ts'
import { archiveVerifyCommand } from '../../cli/archive-verify.ts'
import { keysShowCommand } from '../../cli/keys-show.ts'
import { reportError } from '../../cli/report-error.ts'

const program = new Command('archive')
for (const command of [
  archiveCatCommand,
  archiveFindCommand,
  archiveIndexCommand,
  archiveLsCommand,
  archiveProveCommand,
  archiveStatusCommand,
  archiveVerifyCommand,
  keysShowCommand,
]) {
  program.addCommand(command())
}
try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = reportError(error)
}
