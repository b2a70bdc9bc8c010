/**
 * Both verifiers on a copy of a locked archive: policies and holds are read alike, what a heartbeat names and is gone is
 * named by both, and what ran out may be gone unless it is held.
 */
import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { encodeDocument, parseHeartbeat } from '../../core/archive/documents.ts'
import type { Hold } from '../../core/archive/holds.ts'
import { numberedKey } from '../../core/archive/keys.ts'
import type { Policy } from '../../core/archive/policy.ts'
import { signNote } from '../../core/archive/signed-note.ts'
import type { Worm } from '../../core/archive/worm.ts'
import { ARCHIVE_START_MS, newSigner } from '../support/archive-builder.ts'
import { orSkip } from '../support/services/local-process.ts'
import { pythonOrReason } from '../support/services/python.ts'
import { SmallArchive } from '../support/small-archive.ts'
import { change, flipped, forge, put, remove } from '../support/tampering.ts'
import { judge } from '../support/two-verifiers.ts'

const DAY_MS = 86_400_000
const UNTIL_MS = ARCHIVE_START_MS + 10 * DAY_MS
const CREATED_AT = new Date(ARCHIVE_START_MS).toISOString()
const POLICY = numberedKey('policy', 0n)
const HOLDS = [0n, 1n].map((n) => numberedKey('holds', n))
const [FIRST_HOLD = '', LAST_HOLD = ''] = HOLDS

let archive: SmallArchive

before(async () => {
  const retention = { mode: 'governance' as const, until: new Date(UNTIL_MS).toISOString(), verified: true }
  archive = await SmallArchive.make({ retention })
  const { folder, builder } = archive
  const genesis = hash('sha256', await readFile(path.join(folder, 'genesis.note')), 'hex')
  const sign = async (key: string, document: Policy | Hold): Promise<{ n: string; sha256: string }> => {
    const note = signNote(encodeDocument(document), builder.signer)
    await put(folder, key, note)
    return { n: document.n, sha256: hash('sha256', note, 'hex') }
  }
  const policy = await sign(POLICY, policyOf(genesis))
  const first = await sign(FIRST_HOLD, holdOf('0', genesis, { action: 'hold', applies: null }))
  const last = await sign(LAST_HOLD, holdOf('1', first.sha256, { action: 'applied', applies: '0' }))
  const worm: Worm = {
    result: 'pass',
    checked_at: CREATED_AT,
    checks: { control: 'pass' },
    policy,
    holds: last,
  }
  const named = (text: string): string => encodeDocument({ ...parseHeartbeat(text), worm })
  await forge(folder, archive.heartbeat(-1), named, builder.signer)
})
after(() => archive[Symbol.asyncDispose]())

const PLACE = {
  format_version: 1,
  archive_id: 'test-archive',
  created_at: CREATED_AT,
  writer: 'test',
} as const

function policyOf(previous: string): Policy {
  return {
    ...{ ...PLACE, kind: 'policy', n: '0', previous, worm: 'required' },
    cadence: { active_seconds: 60, idle_seconds: 3600 },
    retention: { default: { mode: 'governance', period_seconds: 864_000 }, topics: {} },
  }
}

/** Of partition 1. */
function holdOf(n: string, previous: string, { action, applies }: Pick<Hold, 'action' | 'applies'>): Hold {
  const range = { topic: 'hooktrail.events.demo', topic_id: null, partition: 1, from: '0', to: null }
  const of = { hold_id: 'case', event_id: null, reason: null, applies }
  return { ...PLACE, kind: 'hold', n, previous, action, ...of, range: action === 'hold' ? range : null }
}

interface Case {
  readonly what: string
  readonly damage: (folder: string) => Promise<void>
  readonly exitCode: number
  /** `severity object`. */
  readonly finding: () => string
  readonly nowMs?: number
}

/** Of partition 0 and of partition 1. */
const free = (): string => archive.segment(0).data
const held = (): string => archive.segment(1).data
const nobody = newSigner()

const CASES: readonly Case[] = [
  { what: 'a whole copy', damage: () => Promise.resolve(), exitCode: 0, finding: () => 'note genesis.note' },
  ...[POLICY, LAST_HOLD, FIRST_HOLD].flatMap((key): Case[] => [
    {
      what: `${key} gone`,
      damage: (folder) => remove(folder, [key]),
      exitCode: 1,
      finding: () => `altered ${key}`,
    },
    {
      what: `${key} exchanged under the archive's own key`,
      damage: (folder) =>
        forge(folder, key, (text) => text.replace('"test"', '"tesu"'), archive.builder.signer),
      exitCode: 1,
      // The first is told by the one that follows it, the last by the heartbeat.
      finding: () => `altered ${key === FIRST_HOLD ? LAST_HOLD : key}`,
    },
  ]),
  {
    what: `${POLICY} with another byte`,
    damage: (folder) => change(folder, POLICY, (bytes) => flipped(bytes, 0.3)),
    exitCode: 1,
    finding: () => `altered ${POLICY}`,
  },
  {
    what: `${POLICY} signed by somebody else`,
    damage: (folder) => forge(folder, POLICY, (text) => text, nobody),
    exitCode: 1,
    finding: () => `altered ${POLICY}`,
  },
  {
    what: 'a name that no policy has',
    damage: (folder) => put(folder, 'policy/1.note', 'x'),
    exitCode: 1,
    finding: () => 'altered policy/1.note',
  },
  {
    what: 'what the probe left in the bucket',
    damage: (folder) => put(folder, 'probe/x/locked', 'x'),
    exitCode: 0,
    finding: () => 'note genesis.note',
  },
  {
    what: 'missing data',
    damage: (folder) => remove(folder, [free()]),
    exitCode: 1,
    finding: () => `altered ${free()}`,
  },
  {
    what: 'expired data',
    damage: (folder) => remove(folder, [free()]),
    // Much later the archive is stale, too; that the data is gone is no fault any more.
    exitCode: 3,
    finding: () => `note ${free()}`,
    nowMs: UNTIL_MS + 1000,
  },
  {
    what: 'data that ran out under a hold',
    damage: (folder) => remove(folder, [held()]),
    exitCode: 1,
    finding: () => `altered ${held()}`,
    nowMs: UNTIL_MS + 1000,
  },
  {
    what: 'a heartbeat that is late by genesis and not by the policy',
    damage: () => Promise.resolve(),
    exitCode: 0,
    finding: () => 'note genesis.note',
    nowMs: ARCHIVE_START_MS + 2 * 3_600_000,
  },
  {
    what: 'a probe that is long past',
    damage: (folder) =>
      forge(
        folder,
        archive.heartbeat(-1),
        (text) => text.replace(`"checked_at":"${CREATED_AT}"`, '"checked_at":"2025-12-20T00:00:00.000Z"'),
        archive.builder.signer,
      ),
    exitCode: 4,
    finding: () => 'worm heartbeat 3',
  },
]

for (const { what, damage, exitCode, finding, nowMs } of CASES)
  test(`both verifiers say the same of ${what}`, async (t) => {
    const python = await orSkip(t, pythonOrReason())
    if (python === null) return
    const folder = await archive.copy()
    await damage(folder)
    const { signer, nowMs: lastMs } = archive.builder
    const said = await judge({ python, folder, keys: [signer.vkey], nowMs: nowMs ?? lastMs })
    assert.equal(said.exitCode, exitCode, said.findings.join('\n'))
    assert.ok(said.findings.includes(finding()), `${finding()} is not among ${said.findings.join(', ')}`)
    await rm(folder, { recursive: true })
  })
