/**
 * One archive judged twice: by the product and by the independent verifier in Python. Both must
 * say the same: the exit code, what was counted, and what is wrong with which object.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { openDirectoryForReading } from '../../adapters/directory/directory-store.ts'
import { parseCertificates } from '../../core/archive/anchor/timestamp.ts'
import { parseVerifierKey } from '../../core/archive/signed-note.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { Finding } from '../../core/archive/verify/finding.ts'
import type { Checkpoint } from '../../core/archive/verify/checkpoint.ts'
import { verifyArchive } from '../../core/archive/verify/verify-archive.ts'
import type { VerifyLevel } from '../../core/archive/verify/verify-context.ts'
import { runVerifierAgain } from './python-verifier.ts'
import type { Python } from './services/python.ts'

export interface JudgeRequest {
  readonly python: Python
  readonly folder: string
  /** Verifier key lines; null: none is pinned. */
  readonly keys: readonly string[] | null
  readonly nowMs: number
  readonly checkpoint?: Checkpoint | null
  readonly level?: VerifyLevel
  readonly isIncremental?: boolean
  /** A C2SP checkpoint that was kept, in place of the other. */
  readonly keptTree?: string
  /** PEM of time-stamp authorities. */
  readonly anchorCa?: string
}

export interface Judgement {
  readonly exitCode: number
  readonly records: string
  readonly heartbeats: number
  readonly manifests: number
  /** `severity object`, sorted. Codes and texts are each verifier's own. */
  readonly findings: readonly string[]
}

/** What both said alike, and what each told of it. */
export interface SharedJudgement extends Judgement {
  readonly told: Readonly<Record<'ours' | 'theirs', readonly Finding[]>>
}

/** @returns what both say; asserts that it is the same */
export async function judge(request: JudgeRequest): Promise<SharedJudgement> {
  const [ours, theirs] = await Promise.all([judgeOurs(request), judgePython(request)])
  const shared = judgementOf(ours)
  assert.deepEqual(judgementOf(theirs), shared, `${request.folder}: the verifiers disagree`)
  return { ...shared, told: { ours: ours.findings, theirs: theirs.findings } }
}

async function judgeOurs(request: JudgeRequest): Promise<Report> {
  const { folder, keys, nowMs, checkpoint = null, level = 2, anchorCa = '' } = request
  try {
    return await verifyArchive({
      store: await openDirectoryForReading(folder),
      keys: keys?.map(parseVerifierKey) ?? null,
      nowMs,
      checkpoint,
      keptTree: request.keptTree ?? null,
      authorities: parseCertificates(anchorCa),
      level,
      isIncremental: request.isIncremental ?? false,
      signal: new AbortController().signal,
    })
  } catch (error) {
    if (!isHooktrailError(error)) throw error
    return unjudged(error.code === 'ARCHIVE_OTHER_KEY' ? 64 : 66)
  }
}

async function judgePython(request: JudgeRequest): Promise<Report> {
  const inputs = await mkdtemp(path.join(tmpdir(), 'two-verifiers-'))
  try {
    const { status, stdout } = await runVerifierAgain(request.python, await argumentsOf(request, inputs))
    if (stdout === '') return unjudged(status)
    const report = parseReport(stdout)
    assert.equal(status, report.exitCode)
    return report
  } finally {
    await rm(inputs, { recursive: true })
  }
}

async function argumentsOf(
  { folder, keys, nowMs, checkpoint = null, level = 2, isIncremental = false, ...request }: JudgeRequest,
  inputs: string,
): Promise<readonly string[]> {
  const { anchorCa, keptTree } = request
  const given = [folder, '--json', '--level', String(level), '--now', new Date(nowMs).toISOString()]
  if (keys !== null) {
    await writeFile(path.join(inputs, 'keys'), `${keys.join('\n')}\n`)
    given.push('--key', path.join(inputs, 'keys'))
  }
  if (anchorCa !== undefined) {
    await writeFile(path.join(inputs, 'authorities.pem'), anchorCa)
    given.push('--anchor-ca', path.join(inputs, 'authorities.pem'))
  }
  if (keptTree !== undefined) {
    await writeFile(path.join(inputs, 'kept.note'), keptTree)
    given.push('--checkpoint', path.join(inputs, 'kept.note'))
  }
  if (isIncremental) given.push('--incremental')
  if (checkpoint !== null) {
    await writeFile(path.join(inputs, 'checkpoint'), JSON.stringify(checkpoint))
    given.push('--checkpoint', path.join(inputs, 'checkpoint'))
  }
  return given
}

interface Report {
  readonly exitCode: number
  readonly records: string
  readonly heartbeats: number
  readonly manifests: number
  readonly findings: readonly Finding[]
}

export function parseReport(text: string): Report {
  return JSON.parse(text) as Report
}

export function judgementOf({ exitCode, records, heartbeats, manifests, findings }: Report): Judgement {
  const named = new Set(findings.map(({ severity, object }) => `${severity} ${object}`))
  return { exitCode, records, heartbeats, manifests, findings: [...named].toSorted() }
}

function unjudged(exitCode: number): Report {
  return { exitCode, records: '', heartbeats: 0, manifests: 0, findings: [] }
}
