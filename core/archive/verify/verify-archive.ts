/**
 * Verifies a whole archive from its objects and a pinned key, without network or clock of its own, in one streaming
 * pass for each kind of object. It reads; it never repairs. What it concludes is archive.md §8, exit codes included.
 */
import type { X509Certificate } from 'node:crypto'
import type { LockingArchive, ReadableArchive } from '../../ports/archive-store.ts'
import { wormResult } from '../worm.ts'
import { requireArchive } from '../require-archive.ts'
import type { Genesis, Heartbeat } from '../manifest.ts'
import type { KeyChain } from '../key/key-chain.ts'
import type { NoteVerifier } from '../signed-note.ts'
import { compareEnd, compareHeartbeat, makeCheckpoint, type Checkpoint } from './checkpoint.ts'
import { Findings } from './finding.ts'
import { openCheckpoint, type TreeCheckpoint } from '../tree/tree-checkpoint.ts'
import { HooktrailError } from '../../error/hooktrail-error.ts'
import { KeptTree } from './kept-tree.ts'
import { LockCheck } from './lock-check.ts'
import { PlainFiles } from './plain-files.ts'
import type { Reading, VerifyContext, VerifyLevel, VerifyProgress } from './verify-context.ts'
import { makeReport, staleAfterMs, type VerifyReport } from './verify-report.ts'
import { verifyAgreements } from './verify-agreements.ts'
import { verifyAnchors } from './verify-anchors.ts'
import { verifyRootLocks } from './verify-locks.ts'
import { verifyGenesis } from './verify-genesis.ts'
import { KeyCheck } from './key-check.ts'
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
  /** What the checkpoint covers is not read again where its run read it: objects must be there, with their size. */
  readonly isIncremental?: boolean
  /** A C2SP checkpoint that somebody kept, such as one that was pushed to him: the note. */
  readonly keptTree?: string | null
  /** Of time-stamp authorities, given by the auditor: tokens of others are forged. */
  readonly authorities?: readonly X509Certificate[]
  readonly level: VerifyLevel
  readonly onProgress?: (progress: VerifyProgress) => void
  readonly signal: AbortSignal
}

/**
 * @throws ARCHIVE_NOT_FOUND, ARCHIVE_OTHER_KEY, ARCHIVE_CHECKPOINT_INVALID when the inputs do not belong together, and what the store throws;
 * everything about the archive itself is in the report.
 */
export async function verifyArchive(asked: VerifyRequest): Promise<VerifyReport> {
  const findings = new Findings()
  const request = { ...asked, store: new PlainFiles(asked.store, findings) }
  const rest = restOf(asked)
  await requireArchive(asked.store)
  const chain = await verifyGenesis({ store: request.store, keys: request.keys, findings })
  if (chain === null) return makeReport({ request, findings, counts: newCounts(), root: null, state: null })
  const reading = makeReading(request, chain, findings)
  const agreements = await verifyAgreements(reading, chain.genesisSha256)
  const locks = new LockCheck({ store: lockingOf(asked.store), findings, nowMs: request.nowMs })
  const context: VerifyContext = { ...reading, agreements, locks }
  const checkpoint = request.checkpoint ?? null
  const keptTree = request.keptTree ? new KeptTree(openKeptTree(request.keptTree, chain)) : null
  const witness = await verifyHeartbeats(context, {
    genesisSha256: chain.genesisSha256,
    onHeartbeat: (note) => {
      compareHeartbeat(checkpoint, note, findings)
      keptTree?.see(note.document, findings)
    },
  })
  agreements.end(context.keyCheck)
  const anchors = await verifyAnchors(context, request.authorities ?? [])
  const ends = await verifySegments(withTotal(context, witness), {
    table: witness.table,
    running: witness.running,
    checkpoint,
    rest: rest?.archive_id === context.archiveId ? rest : null,
  })
  const last = witness.last?.document ?? null
  if (request.level > 0) {
    locks.noteCopy(last !== null && wormResult(last.worm) !== 'off')
    await verifyRootLocks(context, chain.genesis, last)
    await verifyInventory(context, { genesis: chain.genesis, ends, last })
    await verifyVersions(context, asked.store)
  }
  const state = { archiveId: context.archiveId, last: witness.last, ends }
  if (checkpoint !== null) compareEnd(checkpoint, state, findings)
  const cadence = (last && agreements.policyOf(last)?.cadence) ?? chain.genesis.cadence
  keptTree?.end(context.archiveId, last, findings)
  noteEnd(context, { witness, genesis: { ...chain.genesis, cadence }, nowMs: request.nowMs })
  const kept = { checkpoint: makeCheckpoint(state, request.level), last, anchors }
  const inForce = { chain, keyCheck: context.keyCheck, genesis: { ...chain.genesis, cadence } }
  return makeReport({ request, findings, counts: context.counts, root: inForce, state: kept })
}

/** Only who read the archive's keys can tell who signed it. @throws ARCHIVE_CHECKPOINT_INVALID */
function openKeptTree(note: string, { verifiers }: KeyChain): TreeCheckpoint {
  try {
    return openCheckpoint(note, verifiers)
  } catch (error) {
    throw new HooktrailError('ARCHIVE_CHECKPOINT_INVALID', {}, error)
  }
}

/** What an incremental run rests on. Null: it reads everything. @throws ARCHIVE_CHECKPOINT_INVALID */
function restOf({ isIncremental = false, checkpoint = null, level }: VerifyRequest): Checkpoint | null {
  if (!isIncremental) return null
  if (checkpoint !== null && (checkpoint.level ?? 0) >= level) return checkpoint
  const reason = `no run at level ${String(level)} wrote it, on which one at this level could rest`
  throw new HooktrailError('ARCHIVE_CHECKPOINT_INVALID', { reason })
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
  const worm = last === null ? null : wormFault(last)
  if (worm !== null) findings.add({ code: 'worm-not-in-force', severity: 'worm', object, text: worm })
}

/** Probes run once a day; one that could not for three days proves nothing any more. */
const PROBE_AGE_MS_MAX = 3 * 86_400_000

function wormFault({ worm, created_at: signedAt }: Heartbeat): string | null {
  if (worm === 'off' || worm.result === 'off') return null
  if (worm.result !== 'pass') return `the last probe of the deletion lock says ${worm.result}`
  const isOld = Date.parse(signedAt) - Date.parse(worm.checked_at ?? signedAt) > PROBE_AGE_MS_MAX
  return isOld ? `the deletion lock was last probed at ${worm.checked_at ?? ''}` : null
}

function lockingOf(store: ReadableArchive): Pick<LockingArchive, 'protectionOf'> | null {
  return store.protectionOf === undefined ? null : { protectionOf: store.protectionOf.bind(store) }
}

function makeReading(request: VerifyRequest, chain: KeyChain, findings: Findings): Reading {
  return {
    store: request.store,
    keys: chain.verifiers,
    keyCheck: new KeyCheck(chain, findings),
    archiveId: chain.genesis.archive_id,
    level: request.level,
    findings,
    nowMs: request.nowMs,
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
