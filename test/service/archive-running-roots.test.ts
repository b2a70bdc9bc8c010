/**
 * Roots of open segments that heartbeats signed, against the rows that were archived afterwards: both verifiers hold the
 * key holder to what he signed a minute after an event came, ten minutes before its segment was.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { RunningCheck, type Claim } from '../../core/archive/verify/running-claims.ts'
import { SEGMENT_FORMATS, type ManifestGap, type SegmentFormat } from '../../core/archive/manifest.ts'
import { MerkleStack } from '../../core/archive/merkle.ts'
import { ArchiveBuilder } from '../support/archive-builder.ts'
import { orSkip } from '../support/services/local-process.ts'
import { pythonOrReason } from '../support/services/python.ts'
import { judge } from '../support/two-verifiers.ts'

interface Built {
  readonly data: readonly string[]
  readonly findings: readonly string[]
  readonly exitCode: number
}

interface History {
  readonly format?: SegmentFormat
  /** Signed before the segments: how many records behind the head, and whether other ones than come. */
  readonly open: readonly { readonly records: number; readonly isOther?: boolean }[]
  readonly segments: readonly (readonly [records: number, gaps?: readonly ManifestGap[]])[]
}

async function build(history: History): Promise<Built | null> {
  const python = await pythonOrReason()
  if (typeof python === 'string') return null
  const base = await mkdtemp(path.join(tmpdir(), 'running-roots-'))
  try {
    const folder = path.join(base, 'archive')
    const builder = await ArchiveBuilder.create(folder, { format: history.format ?? 'jsonl.zst' })
    await builder.addSegment(0, 2)
    for (const open of history.open) await builder.addHeartbeat([{ partition: 0, ...open }])
    const data: string[] = []
    for (const [records, gaps] of history.segments)
      data.push((await builder.addSegment(0, records, gaps)).data)
    await builder.addHeartbeat()
    const { exitCode, findings } = await judge({
      ...{ python, folder, keys: [builder.signer.vkey] },
      nowMs: builder.nowMs,
    })
    return { data, exitCode, findings }
  } finally {
    await rm(base, { recursive: true })
  }
}

test('roots of an open segment come out of its rows, in one segment or in several', async (t) => {
  if ((await orSkip(t, pythonOrReason())) === null) return
  for (const segments of [[[9]], [[1], [2], [4]], [[3], [1], [1], [9]]] as const) {
    const built = await build({ open: [{ records: 3 }, { records: 5 }, { records: 5 }], segments })
    assert.deepEqual([built?.exitCode, built?.findings], [0, []])
  }
})

for (const format of SEGMENT_FORMATS) {
  test(`both verifiers name the ${format} object in which other records came out than were signed`, async (t) => {
    if ((await orSkip(t, pythonOrReason())) === null) return
    const open = [{ records: 2 }, { records: 4, isOther: true }]
    const built = await build({ format, open, segments: [[3], [3]] })
    assert.deepEqual([built?.exitCode, built?.findings], [1, [`altered ${built?.data[1] ?? ''}`]])
  })
}

test('a signed root over offsets that were declared lost is not compared, one before them is', async (t) => {
  if ((await orSkip(t, pythonOrReason())) === null) return
  const lost = { from: '5', to: '6', reason: 'retention-loss' } as const
  const segments = [[3, [lost]], [2]] as const
  const open = [{ records: 3 }, { records: 6, isOther: true }]
  assert.equal((await build({ open, segments }))?.exitCode, 2)
  const before = await build({ open: [{ records: 3, isOther: true }], segments })
  assert.deepEqual([before?.exitCode, before?.findings[0]], [1, `altered ${before?.data[0] ?? ''}`])
})

test('the end of what was signed may not be archived yet', async (t) => {
  if ((await orSkip(t, pythonOrReason())) === null) return
  assert.equal((await build({ open: [{ records: 9, isOther: true }], segments: [[3]] }))?.exitCode, 0)
})

test('claims of several starts are each compared at their own end', () => {
  const leaves = Array.from({ length: 8 }, (_, index) => Buffer.alloc(32, index).toString('latin1'))
  const rootOf = (from: number, to: number): string => {
    const stack = new MerkleStack()
    for (const leaf of leaves.slice(from, to)) stack.push(leaf)
    return stack.root().toString('hex')
  }
  const claim = (from: number, to: number, root = rootOf(from, to)): Claim => ({
    ...{ start: BigInt(from), next: BigInt(to), heartbeat: 1n, root },
  })
  const check = new RunningCheck()
  const pass = (from: number, to: number, claims: readonly Claim[]): readonly Claim[] => {
    check.begin({ gaps: [] }, claims)
    for (let at = from; at < to; at++) check.add(BigInt(at), leaves[at] ?? '')
    return check.end({ next: String(to) })
  }
  const wrong = claim(0, 6, rootOf(0, 5))
  assert.deepEqual(pass(0, 3, [claim(0, 2), wrong, claim(0, 8)]), [])
  assert.deepEqual(pass(3, 7, [claim(3, 8), claim(3, 4)]), [wrong])
  assert.deepEqual(pass(7, 8, []), [])
  assert.equal(check.isIdle, true)
})
