/** Starts the archiver on its folder, with its keys, its spool and its texts; sweeps what dead processes spooled. */
import { randomUUID } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { ArchiverDeps } from '../../archiver/archiver-context.ts'
import { startArchiver, type ArchiverService } from '../../archiver/archiver-service.ts'
import { verifierToolKey } from '../../core/archive/keys.ts'
import { openArchiveKeys } from './archive-keys.ts'
import type { Context } from './context.ts'
import { packageRoot, packageVersion } from '../../adapters/system/package-root.ts'

type Given = Pick<ArchiverDeps, 'archive' | 'anchors' | 'demand' | 'rememberedArchiveId' | 'worm'>

export async function openArchiver(context: Context, given: Given): Promise<ArchiverService> {
  return startArchiver(context.config, await archiverDeps(context, given))
}

export async function archiverDeps(context: Context, given: Given): Promise<ArchiverDeps> {
  const { home } = context
  const keys = await openArchiveKeys(context)
  const instance = `${hostname()}-${process.pid}-${randomUUID().slice(0, 8)}`
  const spool = join(home, 'spool')
  // Our own Postgres locks the home: nobody else can be spooling there. Nothing in it is needed, the log has it all.
  if (context.postgres !== null) await rm(spool, { recursive: true, force: true })
  return {
    ...context,
    ...given,
    ...(context.log.driver === 'postgres'
      ? {
          replaceableLog: context.log,
          lostConnections: () => context.database.lostConnections(),
          server: () => context.database.server(),
        }
      : {}),
    ...keys,
    spoolDirectory: join(spool, instance),
    instance,
    formatsText: await readFile(join(packageRoot(), 'docs', 'formats.md'), 'utf8'),
    tools: {
      [verifierToolKey(packageVersion())]: await readFile(
        join(packageRoot(), 'tools', 'hooktrail_verify.py'),
        'utf8',
      ),
    },
  }
}
