/** The verdict: one exit code and its reasons, in an order of gravity that scripts can rely on. */
import type { Genesis, Heartbeat } from '../manifest.ts'
import type { KeyChain } from '../key/key-chain.ts'
import { keyIdOf } from '../signed-note.ts'
import type { AnchorReport } from './verify-anchors.ts'
import type { Checkpoint } from './checkpoint.ts'
import type { Finding, Findings } from './finding.ts'
import type { KeyCheck } from './key-check.ts'
import type { VerifyCounts, VerifyLevel } from './verify-context.ts'

/** Least time beyond the signed cadence before an archive counts as stale: a restart, a slow store, a wrong clock. */
const GRACE_SECONDS_MIN = 300

export type VerifyExitCode = 0 | 1 | 2 | 3 | 4 | 64

export interface VerifyReport {
  readonly exitCode: VerifyExitCode
  readonly verdict: string
  readonly location: string
  readonly archiveId: string | null
  readonly level: VerifyLevel
  /** False without a pinned key: then anybody could have made this archive. */
  readonly authenticated: boolean
  readonly findings: readonly Finding[]
  /** Findings beyond the bound, counted only. */
  readonly findingsDropped: number
  readonly heartbeats: number
  readonly manifests: number
  readonly unwitnessedManifests: number
  readonly records: string
  readonly objects: number
  readonly bytes: string
  readonly lastHeartbeat: { readonly n: string; readonly createdAt: string } | null
  /** From then on an archive that ends here is stale: last heartbeat + idle cadence + grace. */
  readonly staleAfter: string | null
  readonly graceSeconds: number | null
  /** The keys that signed, oldest first. */
  readonly keys: readonly KeyReport[]
  /** Null: the archive has no root of its own. */
  readonly rootKey: string | null
  /** The newest of each third party. */
  readonly anchors: readonly AnchorReport[]
  /** To be kept outside the archive; null when there is nothing to keep. */
  readonly checkpoint: Checkpoint | null
}

export interface KeyReport {
  /** Name and id. */
  readonly key: string
  readonly since: string
  /** From which on it holds; null where no heartbeat is signed by it. */
  readonly fromHeartbeat: string | null
  /** Null: the root set no end, or there is no root. */
  readonly until: string | null
  /** Why the key before it did not agree; null: it did. */
  readonly reason: string | null
}

function keysOf({ chain, keyCheck }: NonNullable<ReportParts['root']>): readonly KeyReport[] {
  return chain.keys.map(({ verifier, sinceMs, untilMs, reason }, index) => ({
    key: keyIdOf(verifier),
    since: new Date(sinceMs).toISOString(),
    fromHeartbeat: keyCheck.firstOf(index),
    until: untilMs === null ? null : new Date(untilMs).toISOString(),
    reason,
  }))
}

export interface ReportParts {
  readonly request: {
    readonly store: { readonly location: string }
    readonly keys: unknown
    readonly level: VerifyLevel
  }
  readonly findings: Findings
  readonly counts: VerifyCounts
  readonly root: { readonly genesis: Genesis; readonly chain: KeyChain; readonly keyCheck: KeyCheck } | null
  readonly state: {
    readonly checkpoint: Checkpoint
    readonly last: Heartbeat | null
    readonly anchors: readonly AnchorReport[]
  } | null
}

export function makeReport({ request, findings, counts, root, state }: ReportParts): VerifyReport {
  const authenticated = request.keys !== null
  const exitCode = exitCodeOf(findings, authenticated)
  const last = state?.last ?? null
  return {
    exitCode,
    verdict: VERDICTS[exitCode],
    location: request.store.location,
    archiveId: root?.genesis.archive_id ?? null,
    level: request.level,
    authenticated,
    findings: findings.kept,
    findingsDropped: findings.dropped,
    heartbeats: counts.heartbeats,
    manifests: counts.manifests,
    unwitnessedManifests: counts.unwitnessed,
    records: String(counts.records),
    objects: counts.objects,
    bytes: String(counts.bytes),
    lastHeartbeat: last && { n: last.n, createdAt: last.created_at },
    staleAfter: root && new Date(staleAfterMs(root.genesis, last)).toISOString(),
    graceSeconds: root && graceSeconds(root.genesis),
    keys: root === null ? [] : keysOf(root),
    rootKey: root?.chain.hasRoot === true ? keyIdOf(root.chain.root) : null,
    anchors: state?.anchors ?? [],
    checkpoint: state?.checkpoint ?? null,
  }
}

/** Idle cadence and as much again, at least five minutes. */
export function staleAfterMs(genesis: Genesis, last: Heartbeat | null): number {
  const since = Date.parse(last?.created_at ?? genesis.created_at)
  return since + (genesis.cadence.idle_seconds + graceSeconds(genesis)) * 1000
}

function graceSeconds({ cadence }: Genesis): number {
  return Math.max(cadence.idle_seconds, GRACE_SECONDS_MIN)
}

const VERDICTS: Readonly<Record<VerifyExitCode, string>> = {
  0: 'complete and intact',
  1: 'altered or missing',
  2: 'intact, and a gap or loss is declared',
  3: 'stale, or its end was cut',
  4: 'intact, and the deletion lock is not in force',
  64: 'self-consistent, not authenticated: no public key was given',
}

function exitCodeOf(findings: Findings, authenticated: boolean): VerifyExitCode {
  if (findings.has('altered')) return 1
  if (findings.has('stale')) return 3
  if (!authenticated) return 64
  if (findings.has('loss')) return 2
  return findings.has('worm') ? 4 : 0
}
