/**
 * Whatever somebody who can write an archive's folder does to it, in each format, is judged alike by the product's verifier
 * and the independent one: the exit code, and a finding with its code, its object and its offset.
 */
import assert from 'node:assert/strict'
import { readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { after, test, type TestContext } from 'node:test'
import { SEGMENT_FORMATS } from '../../core/archive/manifest.ts'
import { scale } from '../support/scale.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { orSkip } from '../support/services/local-process.ts'
import { pythonOrReason } from '../support/services/python.ts'
import { filesBelow, SmallArchive } from '../support/small-archive.ts'
import { change, flipped, remove } from '../support/tampering.ts'
import { TAMPERINGS } from '../support/tamperings/table.ts'
import type { Tampering } from '../support/tamperings/tampering.ts'
import { judge, type JudgeRequest, type SharedJudgement } from '../support/two-verifiers.ts'

const KINDS_MIN = 60
const SEED = 20_260_101

const archives = await Promise.all(
  SEGMENT_FORMATS.map((format) => SmallArchive.make({ format, isKept: true })),
)
after(async () => {
  for (const archive of archives) await archive[Symbol.asyncDispose]()
})

type Judged = (
  archive: SmallArchive,
  folder: string,
  more?: Partial<JudgeRequest>,
) => Promise<SharedJudgement>

/** Null, and the test is skipped, where there is no Python with its packages. */
async function judging(t: TestContext): Promise<Judged | null> {
  const python = await orSkip(t, pythonOrReason())
  if (python === null) return null
  return ({ builder }, folder, more = {}) =>
    judge({ python, folder, keys: [builder.signer.vkey], nowMs: builder.nowMs, ...more })
}

test(`there are at least ${String(KINDS_MIN)} kinds of tampering, no two of one name`, (t) => {
  const kinds = new Set(TAMPERINGS.map(({ how }) => how))
  assert.equal(kinds.size, TAMPERINGS.length)
  assert.ok(kinds.size >= KINDS_MIN, String(kinds.size))
  t.diagnostic(`${String(kinds.size)} kinds, each in ${SEGMENT_FORMATS.join(', ')}`)
})

test('both verifiers find each archive whole before anything is done to it', async (t) => {
  const judged = await judging(t)
  if (judged === null) return
  for (const archive of archives)
    assert.deepEqual((await judged(archive, archive.folder)).findings, ['note genesis.note'])
})

for (const tampering of TAMPERINGS)
  test(`both verifiers name ${tampering.how}`, async (t) => {
    const judged = await judging(t)
    if (judged === null) return
    for (const archive of archives) {
      const folder = await archive.copy()
      await tampering.damage(archive, folder)
      assertNamed(tampering, archive, await judged(archive, folder, tampering.options?.(archive)))
      await rm(folder, { recursive: true })
    }
  })

function assertNamed(
  { exitCode, codes, object, offset }: Tampering,
  archive: SmallArchive,
  { exitCode: found, told }: SharedJudgement,
): void {
  assert.equal(found, exitCode, `${archive.format}: ${JSON.stringify(told.ours, null, 1)}`)
  const named = object(archive)
  for (const [whose, findings] of Object.entries(told))
    assert.ok(
      findings.some(
        (each) =>
          codes.includes(each.code) &&
          each.object === named &&
          (offset === undefined || each.offset === offset),
      ),
      `${archive.format}, ${whose}: no ${codes.join(' or ')} of ${named} at ${offset ?? 'any offset'} in ${JSON.stringify(findings, null, 1)}`,
    )
}

test('both verifiers name any single object that is missing', async (t) => {
  const judged = await judging(t)
  if (judged === null) return
  const [archive] = archives
  assert(archive !== undefined)
  // Without its last heartbeat an archive is a younger one.
  const keys = (await filesBelow(archive.folder)).filter((key) => key !== archive.heartbeat(-1))
  for (const key of keys) {
    const folder = await archive.copy()
    await remove(folder, [key])
    const said: SharedJudgement = await judged(archive, folder)
    assert.equal(said.exitCode, 1, key)
    assert.ok(said.findings.includes(`altered ${key}`), `${key}: ${said.findings.join(', ')}`)
    await rm(folder, { recursive: true })
  }
})

test('no change of a single byte anywhere below an archive escapes either verifier', async (t) => {
  const judged = await judging(t)
  if (judged === null) return
  const random = seededRandom(SEED)
  for (const archive of archives) {
    const folder = await archive.copy()
    const keys = await filesBelow(folder)
    for (let round = 0; round < scale.archiveFlips; round++) {
      const key = keys[Math.floor(random() * keys.length)]
      assert(key !== undefined)
      const original = await readFile(path.join(folder, key))
      const [at, mask] = [random(), 1 + Math.floor(random() * 255)]
      await change(folder, key, (bytes) => flipped(bytes, at, mask))
      const said: SharedJudgement = await judged(archive, folder)
      const what = `${archive.format}, seed ${String(SEED)}, round ${String(round)}: ${key} at ${String(at)} with ${String(mask)}`
      assert.equal(said.exitCode, 1, what)
      assert(said.findings.includes(`altered ${key}`), what)
      await change(folder, key, () => original)
    }
    await rm(folder, { recursive: true })
  }
  const flips = scale.archiveFlips * archives.length
  t.diagnostic(`${String(flips)} changed bytes, each found by both (seed ${String(SEED)})`)
})
