/**
 * `hooktrail move`: from one size to a larger one, by one command that may be repeated. The work is in cli/moving; here
 * are its flags, and what is told on the way.
 */
import { Command } from 'commander'
import { createLogger } from '../adapters/system/logger.ts'
import { homeOf, loadConfig } from './composition/load-config.ts'
import { copyAhead } from './moving/move-archive.ts'
import type { MoveOptions } from './moving/move-sides.ts'
import { cancelMove, describeMove, runMove } from './moving/run-move.ts'
import { catchStop } from './stop-request.ts'

const EXIT_STOPPED = 130

interface MoveFlags {
  readonly from: string
  readonly to: string
  readonly dryRun?: boolean
  readonly cancel?: boolean
  readonly archiveOnly?: boolean
}

export function moveCommand(): Command {
  return new Command('move')
    .description('move this installation to a larger size: another database, log or archive')
    .requiredOption('--to <file>', 'configuration of the new size')
    .option('--from <file>', 'configuration that it runs with now', 'hooktrail.yaml')
    .option('--dry-run', 'check both sides and say what would be done')
    .option(
      '--archive-only',
      'copy what is archived so far, while the old side runs: the move itself is shorter then',
    )
    .option('--cancel', 'take an unfinished move back: the old side may start again')
    .addHelpText(
      'after',
      `
Stop every process first (not for --archive-only); where the old side has a Postgres of its own, run it with the same HOOKTRAIL_HOME. It may be
killed and run again at any point. Afterwards start hooktrail with the new configuration: the old one is refused.

Examples:
  hooktrail move --to larger.yaml --dry-run
  hooktrail move --from hooktrail.yaml --to larger.yaml

Exit codes: 0 moved, or there is nothing left to do, 66 an archive cannot be used, 69 a side runs, is not empty or does
            not answer, 78 configuration, 130 stopped by a signal`,
    )
    .action(run)
}

async function run(flags: MoveFlags): Promise<void> {
  const { from, to } = flags
  using stop = catchStop()
  const options: MoveOptions = {
    from: loadConfig({ config: from }).config,
    to: loadConfig({ config: to }).config,
    home: homeOf(process.env),
    logger: createLogger(),
    say: (line) => {
      console.log(line)
    },
    signal: stop.signal,
  }
  try {
    await taskOf(flags)(options)
  } catch (error) {
    if (!stop.signal.aborted) throw error
    console.error('hooktrail move was stopped: run it again, and it goes on where it was')
    process.exitCode = EXIT_STOPPED
  }
}

function taskOf({ cancel, dryRun, archiveOnly }: MoveFlags): (options: MoveOptions) => Promise<void> {
  if (cancel === true) return cancelMove
  if (dryRun === true) return describeMove
  return archiveOnly === true ? copyAhead : runMove
}
