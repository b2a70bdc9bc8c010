/** `hooktrail archive …`: what only needs the archive's folder or bucket, and what the archiver is asked for. */
import { Command } from 'commander'
import { archiveCatCommand } from './archive-cat.ts'
import { archiveFindCommand, archiveIndexCommand } from './archive-find.ts'
import { archiveHoldCommands } from './archive-hold.ts'
import { archiveInitCommand } from './archive-init.ts'
import { archiveLsCommand } from './archive-ls.ts'
import { archiveProbeCommand } from './archive-probe.ts'
import { archiveProveCommand } from './archive-prove.ts'
import { archiveStatusCommand } from './archive-status.ts'
import { archiveVerifyCommand } from './archive-verify.ts'

export function archiveCommand(): Command {
  const archive = new Command('archive').description('the archive: most need only its folder or bucket')
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
  return archive
}
