/**
 * Makes an archiver whose steps may be taken: the archive is there or made, its lock is proven where that is asked for, its
 * keys are known, and the spool is empty. Nothing runs yet. Starting it again after a crash anywhere here is harmless.
 */
import { mkdir, rm } from 'node:fs/promises'
import type { ArchiverDeps, OpeningContext } from './archiver-context.ts'
import { Archiver, type ArchiverConfig } from './archiver.ts'
import { openGenesis } from './genesis.ts'
import { ProbedLock } from './probed-lock.ts'
import { Protection, type ProtectionOptions } from './protection.ts'
import { Upkeep, type ProtectedContext } from './upkeep.ts'

/** The context of everything behind genesis. */
export function withProtection(opening: OpeningContext, options: ProtectionOptions): ProtectedContext {
  const { archive_id: archiveId, format: genesisFormat } = options.genesis
  const context = { ...opening, archiveId, genesisFormat, keys: options.keys }
  return { ...context, protection: new Protection(context, options) }
}

/** Nothing runs yet: for who takes its steps himself. */
export async function createArchiver(config: ArchiverConfig, deps: ArchiverDeps): Promise<Archiver> {
  const opening = { ...deps, settings: config.archive }
  const probed = deps.worm === undefined ? null : new ProbedLock(opening, deps.worm)
  // Before anything is written: what is not locked from the beginning could be exchanged until it is.
  await probed?.begin()
  const { genesis, sha256, keys } = await openGenesis(opening)
  const context = withProtection(opening, { genesis, genesisSha256: sha256, keys, probed })
  const archiver = new Archiver(config, context, sha256)
  // Before anything is signed: the key to begin with may have been replaced, and its successor be at hand.
  await archiver.keyStep()
  await context.protection.agree()
  await new Upkeep(context).lockRoots()
  // Whatever an earlier process spooled is read again from the log.
  await rm(deps.spoolDirectory, { recursive: true, force: true })
  await mkdir(deps.spoolDirectory, { recursive: true, mode: 0o700 })
  await archiver.rememberArchive()
  return archiver
}
