/** How long each object is locked, whose retention it is, and what the documents for a bucket allow. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bucketPolicy, IAM_PARTIES, iamDocument } from '../../core/archive/bucket-setup.ts'
import { policyRetentionOf, retentionTermsOf } from '../../core/archive/policy.ts'
import { covers, lockOf, longestOf, NOTE_MARGIN_MS } from '../../core/archive/retention.ts'
import { PROBE_CHECKS, resultOf } from '../../core/archive/worm.ts'
import { readConfig } from '../../core/config/read-config.ts'
import { retentionTerms } from '../../core/config/retention-terms.ts'
import { summarizeSources } from '../../core/config/warn-config.ts'
import { awsCliText } from '../../cli/bucket-setup/aws-cli-text.ts'
import { terraformText } from '../../cli/bucket-setup/terraform-text.ts'

const DAY_MS = 86_400_000
const NOW_MS = 1_000_000_500
const PLACE = { bucket: 'trail', prefix: 'production' }

const CONFIG = `version: 1
archive:
  driver: s3
  bucket: trail
  worm: required
  retention: { mode: governance, period: 200d }
  retention_by_topic: { audit: { mode: governance, period: 300d } }
sources:
  shop: { verify: none, archive_retention: { mode: compliance, period: 400d, confirm: 400d } }
  other: { verify: none }
`

function settingsOf(text: string) {
  const read = readConfig({ text, file: 'hooktrail.yaml', overlay: null }, { env: {}, readFile: () => '' })
  assert.ok(read.ok, JSON.stringify(read))
  return read.config
}

test('each topic has its own retention, and notes outlast the data they lead to', () => {
  const terms = retentionTerms(settingsOf(CONFIG))
  assert.ok(terms !== null)
  const lockDays = (key: string): [string, number] => {
    const { mode, untilMs } = lockOf(terms, key, NOW_MS)
    assert.equal(untilMs % 1000, 0, 'stores keep whole seconds')
    return [mode, Math.floor((untilMs - NOW_MS) / DAY_MS)]
  }
  const YEAR = NOTE_MARGIN_MS / DAY_MS
  assert.deepEqual(lockDays('data/topic=hooktrail.events.shop/dt=2026-01-01/hour=00/x'), ['compliance', 400])
  assert.deepEqual(lockDays('segments/hooktrail.events.shop/0a1b2c3d/p00000/x.note'), [
    'compliance',
    400 + YEAR,
  ])
  assert.deepEqual(lockDays('data/topic=hooktrail.events.other/dt=2026-01-01/hour=00/x'), ['governance', 200])
  assert.deepEqual(lockDays('segments/hooktrail.audit/0a1b2c3d/p00000/x.note'), ['governance', 300 + YEAR])
  assert.deepEqual(lockDays('data/topic=hooktrail.rejected/dt=2026-01-01/hour=00/x'), ['governance', 90])
  for (const key of ['genesis.note', 'heartbeats/00000000/000000000000.note', 'policy/000000000000.note'])
    assert.deepEqual(lockDays(key), ['compliance', 400 + YEAR])
  assert.deepEqual(longestOf(terms), { mode: 'compliance', periodMs: 400 * DAY_MS })
  const signed = { worm: 'required' as const, cadence: { active_seconds: 1, idle_seconds: 1 } }
  assert.deepEqual(retentionTermsOf({ ...signed, retention: policyRetentionOf(terms) }), terms)
})

test('validate says of each source how long it is locked', () => {
  const lines = summarizeSources(settingsOf(CONFIG)).join('\n')
  assert.match(lines, /shop: .*\(locked for 400d, compliance\)/)
  assert.match(lines, /other: .*\(locked for 200d, governance\)/)
  assert.equal(retentionTerms(settingsOf('version: 1\n')), null)
})

test('a lock covers what is laxer and shorter, and nothing else', () => {
  const [weak, strong] = [
    { mode: 'governance' as const, untilMs: 10 },
    { mode: 'compliance' as const, untilMs: 10 },
  ]
  assert.deepEqual(
    [covers(strong, weak), covers(weak, weak), covers(weak, strong), covers(null, weak)],
    [true, true, false, false],
  )
  assert.equal(covers({ ...weak, untilMs: 9 }, weak), false)
})

test('one failure fails the probe, and a check that was not made is unproven', () => {
  const passed = Object.fromEntries(PROBE_CHECKS.map((check) => [check, 'pass' as const]))
  assert.equal(resultOf(passed), 'pass')
  assert.equal(resultOf({ ...passed, control: 'unproven' }), 'unproven')
  assert.equal(resultOf({ ...passed, control: 'unproven', hold: 'fail' }), 'fail')
  assert.equal(resultOf({}), 'unproven')
})

test('the archiver may delete nothing but what the probe wrote, and the bucket denies the rest to everybody', () => {
  for (const { Action, Resource } of statementsOf(iamDocument(PLACE, 'writer')))
    if (String(Action).includes('Delete')) assert.equal(Resource, 'arn:aws:s3:::trail/production/probe/*')
  assert.ok(!JSON.stringify(iamDocument(PLACE, 'writer')).includes('Bypass'))
  assert.doesNotMatch(JSON.stringify(iamDocument(PLACE, 'auditor')), /Put|Delete|Bypass/)
  const [deny] = statementsOf(bucketPolicy(PLACE))
  assert.ok(deny !== undefined && !JSON.stringify(deny.Resource).includes('probe'))
  for (const text of [awsCliText(PLACE), terraformText(PLACE)])
    for (const party of IAM_PARTIES) assert.ok(text.includes(`hooktrail-${party}-trail`), party)
})

interface Statement {
  readonly Action: unknown
  readonly Resource: unknown
}

function statementsOf(document: object): readonly Statement[] {
  return (document as { Statement: readonly Statement[] }).Statement
}
