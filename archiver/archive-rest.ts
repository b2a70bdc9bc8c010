/**
 * Archives the log to its end and signs it: afterwards the log may be left behind, since everything of it is read in the
 * archive. The log must not grow meanwhile. A crash leaves what any crash of the archiver leaves, and is repeated.
 */
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import type { ArchiverDeps } from './archiver-context.ts'
import type { Archiver, ArchiverConfig } from './archiver.ts'
import { createArchiver } from './create-archiver.ts'
import { partitionsOf } from './heartbeat-writer.ts'

/** Leases of a killed archiver run out, or a store is away. */
const WAIT_MS = 500

/** @throws MOVE_ARCHIVE_HALTED, and what opening the archive throws; an outage is waited for until `signal` */
export async function archiveRest(
  config: ArchiverConfig,
  deps: ArchiverDeps,
  signal: AbortSignal,
): Promise<void> {
  const archiver = await createArchiver(config, deps)
  for (;;) {
    signal.throwIfAborted()
    if (await archiver.archiveStep(signal)) continue
    const { halted, chainFault } = archiver.status()
    const [first] = halted
    const reason =
      chainFault ?? (first === undefined ? null : `${first.topic}/${first.partition}: ${first.reason}`)
    // Commits and signs what it has read, and lets go of it.
    await archiver.finish()
    if (reason !== null) throw new HooktrailError('MOVE_ARCHIVE_HALTED', { reason })
    if (await isSigned(archiver, deps)) return
    await deps.clock.sleep(WAIT_MS, signal)
  }
}

async function isSigned(archiver: Archiver, { log }: ArchiverDeps): Promise<boolean> {
  const signed = new Map(
    archiver.signed().map(({ topic_id: id, partition, to }) => [`${id}/${partition}`, BigInt(to)]),
  )
  for (const at of (await log.topics()).flatMap(partitionsOf)) {
    const { logStart, highWatermark } = await log.bounds(at)
    if ((signed.get(`${at.topicId}/${at.partition}`) ?? logStart) < highWatermark) return false
  }
  return true
}
