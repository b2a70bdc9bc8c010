/**
 * Verifies a whole archive from its objects and a pinned key, without network or clock of its own, in one streaming
 * pass for each kind of object. It reads; it never repairs. What it concludes is archive.md §8, exit codes included.
 */
import type { ReadableArchive } from '../../ports/archive-store.ts'
import { requireArchive } from '../require-archive.ts'
import type { Genesis } from '../manifest.ts'
import type { NoteVerifier } from '../signed-note.ts'
import { compareEnd, compareHeartbeat, makeCheckpoint, type Checkpoint } from './checkpoint.ts'
import { Findings } from './finding.ts'
import { PlainFiles } from './plain-files.ts'
import type { VerifyContext, VerifyLevel, VerifyProgress } from './verify-context.ts'
import { makeReport, staleAfterMs, type VerifyReport } from './verify-report.ts'
import { verifyGenesis, type VerifiedGenesis } from './verify-genesis.ts'
import { verifyHeartbeats, type Witness } from './verify-heartbeats.ts'
import { verifyInventory } from './verify-inventory.ts'
import { verifySegments } from './verify-segments.ts'
import { verifyVersions } from './verify-versions.ts'

export interface VerifyRequest {
  readonly store: ReadableArchive
  /** Pinned by the auditor; null: only self-consistency can be shown. */
  readonly keys: readonly NoteVerifier[] | null
  /** The verifier's clock: decides whether the signed cadence was missed. */
  readonly nowMs: number
  readonly checkpoint?: Checkpoint | null
  readonly level: VerifyLevel
  readonly onProgress?: (progress: VerifyProgress) => void
  readonly signal: AbortSignal
}

/**
 * @throws ARCHIVE_NOT_FOUND, ARCHIVE_OTHER_KEY when the inputs do not belong together, and what the store throws;
 * everything about the archive itself is in the report.
 */
export async function verifyArchive(asked: VerifyRequest): Promise<VerifyReport> {
  const findings = new Findings()
  const request = { ...asked, store: new PlainFiles(asked.store, findings) }
  await requireArchive(asked.store)
  const root = await verifyGenesis({ store: request.store, keys: request.keys, findings })
  if (root === null) return makeReport({ request, findings, counts: newCounts(), root: null, state: null })
  const context = makeContext(request, root, findings)
  const checkpoint = request.checkpoint ?? null
  const witness = await verifyHeartbeats(context, {
    genesisSha256: root.sha256,
    onHeartbeat: (note) => {
      compareHeartbeat(checkpoint, note, findings)
    },
  })
  const ends = await verifySegments(withTotal(context, witness), { table: witness.table, checkpoint })
  if (request.level > 0) {
    await verifyInventory(context, { genesis: root.genesis, ends })
    await verifyVersions(context, asked.store)
  }
  const state = { archiveId: context.archiveId, last: witness.last, ends }
  if (checkpoint !== null) compareEnd(checkpoint, state, findings)
  noteEnd(context, { witness, genesis: root.genesis, nowMs: request.nowMs })
  const kept = { checkpoint: makeCheckpoint(state), last: witness.last?.document ?? null }
  return makeReport({ request, findings, counts: context.counts, root, state: kept })
}

interface ArchiveEnd {
  readonly witness: Witness
  readonly genesis: Genesis
  readonly nowMs: number
}

/** How the archive ends: what nobody has witnessed yet, whether it is overdue, whether deletion is barred. */
function noteEnd({ findings, counts }: VerifyContext, { witness, genesis, nowMs }: ArchiveEnd): void {
  const last = witness.last?.document ?? null
  const object = last === null ? 'genesis.note' : `heartbeat ${last.n}`
  if (counts.unwitnessed > 0) {
    const text = `${String(counts.unwitnessed)} manifests are newer than the last heartbeat`
    findings.note('unwitnessed', object, text)
  }
  const dueMs = staleAfterMs(genesis, last)
  if (nowMs > dueMs) {
    const text = `the next heartbeat was due by ${new Date(dueMs).toISOString()}: the archiver stopped, or the end was cut`
    findings.add({ code: 'stale', severity: 'stale', object, text })
  }
  if (last?.worm === 'fail' || last?.worm === 'unproven') {
    const text = `the last probe of the deletion lock says ${last.worm}`
    findings.add({ code: 'worm-not-in-force', severity: 'worm', object, text })
  }
}

function makeContext(request: VerifyRequest, root: VerifiedGenesis, findings: Findings): VerifyContext {
  return {
    store: request.store,
    keys: root.keys,
    archiveId: root.genesis.archive_id,
    level: request.level,
    findings,
    counts: newCounts(),
    signal: request.signal,
    onProgress: request.onProgress ?? ignoreProgress,
  }
}

function withTotal(context: VerifyContext, { dataBytes }: Witness): VerifyContext {
  const onProgress = (progress: VerifyProgress): void => {
    context.onProgress({ ...progress, bytesTotal: dataBytes })
  }
  return { ...context, onProgress }
}

function newCounts(): VerifyContext['counts'] {
  return { heartbeats: 0, manifests: 0, unwitnessed: 0, records: 0n, objects: 0, bytes: 0n }
}

function ignoreProgress(): void {
  // Nobody watches.
}
