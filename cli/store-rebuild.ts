/**
 * `hooktrail store rebuild`: a job store that was lost comes back from log and archive, into an empty database. May be
 * interrupted and run again.
 */
import { randomUUID } from 'node:crypto'
import { Command } from 'commander'
import { runningConnections } from '../adapters/postgres/move/store-contents.ts'
import { createLogger } from '../adapters/system/logger.ts'
import { readSignedEnds, type SignedEnd } from '../core/archive/range/signed-ends.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import { archivedSpans } from '../core/recovery/archived-facts.ts'
import { rebuildStore } from '../dispatcher/rebuild-store.ts'
import { archiveReader, openArchiveSource, openUnion } from './composition/archive-stores.ts'
import { openContext, type Context } from './composition/context.ts'
import { homeOf, loadConfig, overlayOption, type ConfigFlags } from './composition/load-config.ts'
import { planRestOf, recoveryParts } from './composition/open-guard.ts'
import { identifyStore, prepareLog, prepareSchema } from './composition/prepare-stores.ts'
import { catchStop } from './stop-request.ts'

const CONNECTIONS_MAX = 4
/** Unlike that of processes which serve: see store-contents.ts. */
const APPLICATION_NAME = 'hooktrail-rebuild'
const EXIT_STOPPED = 130

export function storeRebuildCommand(): Command {
  return new Command('rebuild')
    .description('bring a job store that was lost back from log and archive, into an empty database')
    .option('-c, --config <file>', 'configuration file', 'hooktrail.yaml')
    .addOption(overlayOption())
    .addHelpText(
      'after',
      `
Stop every process first. It may be interrupted and run again. A database that was put back to an older copy needs no
rebuild: it is made whole at the next start.

Examples:
  hooktrail store rebuild -c hooktrail.yaml

Exit codes: 0 rebuilt, 66 the archive cannot be used, 69 the database is not empty, in use or does not answer,
            78 configuration, 130 stopped by a signal`,
    )
    .action(run)
}

async function run(flags: ConfigFlags): Promise<void> {
  using stop = catchStop()
  try {
    await rebuild(flags, stop.signal)
  } catch (error) {
    if (!stop.signal.aborted) throw error
    console.error('hooktrail store rebuild was stopped: run it again, and it goes on where it was')
    process.exitCode = EXIT_STOPPED
  }
}

async function rebuild(flags: ConfigFlags, signal: AbortSignal): Promise<void> {
  const { config } = loadConfig(flags)
  await using opened = new AsyncDisposableStack()
  const context = opened.use(
    await openContext({
      ...{ config, signal, home: homeOf(process.env), logger: createLogger('warn'), processId: randomUUID() },
      ...{ applicationName: APPLICATION_NAME, connectionsMax: CONNECTIONS_MAX },
    }),
  )
  const connections = await runningConnections(context.database)
  if (connections > 0) throw new HooktrailError('STORE_IN_USE', { connections })
  await prepareSchema(context)
  await identifyStore(context)
  opened.use(await prepareLog(context))
  const openArchive = archiveReader(context, opened, signal)
  const log = openUnion(context, opened, openArchive)
  console.log('reading what log and archive tell')
  const lost = await lostEnds(context, openArchive)
  const ids = new Set(lost.map(({ topicId }) => topicId))
  const { topicPrefix } = config.log
  const { storeId, steps, facts } = await rebuildStore(
    {
      ...recoveryParts(context, log),
      older: await archivedSpans({ store: context.store, ends: lost, topicPrefix }, ids),
      gone: ids,
      planRest: (stopped) => planRestOf(context, log)(lost, ids, stopped),
    },
    signal,
  )
  console.log(`rebuilt job store ${storeId}: ${steps} plan steps, ${facts} attempts and actions`)
}

/** Chains of topics that the log does not have: it was moved, or is lost. */
async function lostEnds(
  context: Context,
  openArchive: Parameters<typeof openArchiveSource>[1],
): Promise<readonly SignedEnd[]> {
  const source = await openArchiveSource(context, openArchive)
  if (source === null) return []
  const present = new Set((await context.log.topics()).map(({ id }) => id))
  return (await readSignedEnds(source)).filter(({ topicId }) => !present.has(topicId))
}
