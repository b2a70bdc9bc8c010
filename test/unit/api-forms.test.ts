/** Pure parts of the API: the verdict, times, tokens, and the lines of the export. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exportLine } from '../../api/export-lines.ts'
import { parseTime } from '../../api/query.ts'
import { createTokenCheck } from '../../api/token-check.ts'
import { verdictOf, type HealthFacts } from '../../api/verdict.ts'
import type { EventView } from '../../core/ports/job-store.ts'

const well: HealthFacts = {
  storeAnswers: true,
  services: [{ name: 'ingress', waitingFor: null }],
  openJobs: [],
  halted: [],
  chainFault: null,
  archiveLagSeconds: 3.4,
}

const event: EventView = {
  eventId: '01',
  source: 'shop',
  type: 'paid',
  subject: null,
  createdAtMs: 0,
  topic: 't',
  topicId: '0'.repeat(32),
  partition: 0,
  offset: 0n,
  uniqueKey: 'k',
  sizeBytes: 1,
  verdict: 'first',
  originalEventId: null,
  conflict: false,
}

test('the verdict says that all is well only when nothing is amiss', () => {
  assert.equal(verdictOf(well), 'All is well. Archive 3 s behind.')
  assert.match(verdictOf({ ...well, storeAnswers: false }), /^The database does not answer/)
  assert.match(
    verdictOf({ ...well, services: [{ name: 'ingress', waitingFor: 'the log' }] }),
    /^ingress waits/,
  )
  assert.match(verdictOf({ ...well, halted: [{ topic: 't', partition: 1, reason: 'r' }] }), /halted: r/)
  const openJobs = [{ handler: 'billing', available: 0, retryable: 1 }]
  assert.match(verdictOf({ ...well, openJobs }), /billing: 1 job waits for a retry/)
})

test('a time without a zone is UTC', () => {
  assert.equal(parseTime('2026-03-01T12:00:00'), Date.UTC(2026, 2, 1, 12))
  assert.equal(parseTime('2026-03-01 12:00'), Date.UTC(2026, 2, 1, 12))
  assert.equal(parseTime('2026-03-01'), Date.UTC(2026, 2, 1))
  assert.equal(parseTime('2026-03-01T12:00:00+02:00'), Date.UTC(2026, 2, 1, 10))
  assert.equal(parseTime('yesterday'), null)
})

test('only the very token is let in', () => {
  const isAllowed = createTokenCheck('secret')
  assert.equal(isAllowed('Bearer secret'), true)
  for (const header of [undefined, '', 'secret', 'Basic secret', 'Bearer secret2', 'Bearer '])
    assert.equal(isAllowed(header), false, String(header))
})

test('an export line holds the JSON text unchanged, and anything else as base64', () => {
  const text = '{"amount": 1.10, "big": 12345678901234567890}'
  assert.ok(exportLine(event, Buffer.from(text)).includes(`"payload":${text},"created_at"`))
  for (const body of [
    Buffer.from('no json'),
    Buffer.from('{\n}'),
    Buffer.from([0xff, 0xfe]),
    Buffer.alloc(0),
  ])
    assert.equal(
      (JSON.parse(exportLine(event, body)) as Record<string, unknown>)['payload_base64'],
      body.toString('base64'),
    )
})
