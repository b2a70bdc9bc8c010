/** Pure parts of the API: the verdict, times, tokens, and the lines of the export. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { exportLine } from '../../api/export-lines.ts'
import { holdBody } from '../../api/query.ts'
import { recordsBody } from '../../api/replay-query.ts'
import { spanText } from '../../api/span-text.ts'
import { createTokenCheck } from '../../api/token-check.ts'
import { jobJson } from '../../api/views.ts'
import { verdictOf, type HealthFacts } from '../../api/verdict.ts'
import type { HandlerStanding } from '../../core/ports/report-store.ts'
import type { EventView, JobView } from '../../core/ports/operator-store.ts'
import { parseWrittenTime } from '../../core/written-time.ts'
import { valid } from '../support/config-reader.ts'

const well: HealthFacts = {
  storeAnswers: true,
  logAnswers: true,
  isLogApart: false,
  services: [{ name: 'ingress', waitingFor: null }],
  handlers: [],
  configured: new Set(),
  archive: { lagSeconds: 3.4, heartbeatAgeSeconds: 10, halted: [], chainFault: null },
  retentionSeconds: 7 * 86_400,
  heartbeatSecondsMax: 1_080,
}

const billing: HandlerStanding = {
  ...{ handler: 'billing', source: 'stripe', status: 'active', statusReason: null, lagRecords: 0 },
  ...{
    available: 0,
    running: 0,
    retryable: 0,
    dead: 0,
    dueForMs: null,
    lastError: null,
    unservedForMs: null,
  },
  ...{ breaker: 'closed', breakerReason: null, breakerForMs: null },
}

const configured = new Set(['billing'])

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
  const { archive } = well
  assert.equal(verdictOf(well), 'All is well. Archive 3 s behind, margin 6 d 23 h.')
  assert.match(verdictOf({ ...well, storeAnswers: false }), /^The database does not answer: .*503/)
  assert.match(verdictOf({ ...well, storeAnswers: false, isLogApart: true }), /events are taken/)
  assert.match(verdictOf({ ...well, logAnswers: false, isLogApart: true }), /^The log does not answer: .*503/)
  const bothAway = { ...well, storeAnswers: false, logAnswers: false }
  assert.match(verdictOf(bothAway), /^The database does not answer: .*503/)
  assert.match(
    verdictOf({ ...bothAway, isLogApart: true }),
    /^The log does not answer: .*503.* when it is back/,
  )
  assert.match(
    verdictOf({ ...well, services: [{ name: 'ingress', waitingFor: 'the log' }] }),
    /^No acked event is lost\. ingress waits/,
  )
  assert(archive !== null)
  const halted = { ...archive, halted: [{ topic: 't', partition: 1, reason: 'r' }] }
  assert.match(verdictOf({ ...well, archive: halted }), /^Archiving of t\/1 is halted: r/)
  assert.match(
    verdictOf({ ...well, archive: { ...archive, heartbeatAgeSeconds: 2_000 } }),
    /No heartbeat .* 33 m 20 s/,
  )
})

test('what is not known of the archive is said, and never as a figure', () => {
  const { archive } = well
  assert(archive !== null)
  const verdict = verdictOf({ ...well, archive: { ...archive, lagSeconds: null } })
  assert.equal(
    verdict,
    'All is well. How far the archive is behind is not known; its last heartbeat was 10 s ago.',
  )
  assert.equal(verdictOf({ ...well, archive: null }), 'All is well. Of the archive nothing is known here.')
})

test('the verdict counts dead letters, of whom, and says where they are', () => {
  const verdict = verdictOf({ ...well, configured, handlers: [{ ...billing, dead: 3 }] })
  assert.match(verdict, /3 dead letters of billing; hooktrail jobs list --status dead\./)
  assert.doesNotMatch(verdict, /All is well/)
})

test('the verdict names what a handler waits for, and the way back of a disabled one', () => {
  const saying = (change: Partial<HandlerStanding>): string =>
    verdictOf({ ...well, archive: null, configured, handlers: [{ ...billing, ...change }] }).replace(
      ' Of the archive nothing is known here.',
      '',
    )
  assert.equal(saying({}), 'All is well.')
  assert.equal(saying({ lagRecords: null }), 'All is well.')
  assert.equal(
    saying({ retryable: 2, dueForMs: -40_000, lastError: 'http_5xx' }),
    'No acked event is lost. billing: 2 jobs wait for a retry after http_5xx, the next in 40 s.',
  )
  assert.equal(saying({ available: 9, dueForMs: 240_000 }), 'No acked event is lost. billing is 4 m behind.')
  assert.match(
    saying({ status: 'disabled', statusReason: 'http_410' }),
    /billing is disabled: http_410; hooktrail handlers enable billing/,
  )
})

test('a handler that nobody serves is named after a minute, unless it is not in the configuration', () => {
  const unserved = { ...billing, unservedForMs: 61_000 }
  const verdict = verdictOf({ ...well, configured, handlers: [unserved] })
  assert.match(verdict, /^No acked event is lost\. No dispatcher has served billing for 1 m 1 s: /)
  for (const [names, row] of [
    [configured, { ...billing, unservedForMs: 59_000 }],
    [new Set<string>(), unserved],
  ] as const)
    assert.match(verdictOf({ ...well, configured: names, handlers: [row] }), /^All is well/)
})

test('a handler whose breaker is open is named with the reason, whatever waits for it', () => {
  const breaker = { breaker: 'open', breakerReason: '20 of 20 failed', breakerForMs: 61_000 } as const
  const verdict = verdictOf({ ...well, configured, handlers: [{ ...billing, ...breaker, retryable: 9 }] })
  assert.match(
    verdict,
    /^No acked event is lost\. The breaker of billing has been open for 1 m 1 s \(20 of 20 failed\): /,
  )
})

test('a handler that was removed is named with what it leaves behind, and one that has not begun, too', () => {
  const left = { ...billing, available: 2, retryable: 3, lagRecords: 7 }
  assert.match(
    verdictOf({ ...well, handlers: [left] }),
    /billing is not in the configuration any more: nobody delivers its 5 open jobs, and 7 records /,
  )
  assert.match(verdictOf({ ...well, handlers: [billing] }), /^All is well/)
  assert.match(verdictOf({ ...well, configured }), /billing has no position in the log yet/)
})

test('spans are said in their two largest units', () => {
  const texts = [0, 0.4, 59, 60, 3_700, 86_400, 604_796].map(spanText)
  assert.deepEqual(texts, ['0 s', '0 s', '59 s', '1 m', '1 h 1 m', '1 d', '6 d 23 h'])
})

test('a job shows where it goes without the query of the URL, where tokens stand', () => {
  const { handlers } = valid(
    "version: 1\nsources: { a: { verify: none } }\nhandlers: { app: { source: a, url: 'https://h.example/x?code=secret' } }\n",
  )
  const job: JobView = {
    ...{ jobId: '01.app', eventId: '01', handler: 'app', source: 'a', eventType: 't', state: 'dead' },
    ...{ attempt: 1, maxAttempts: 1, scheduledAtMs: null, lastError: null, createdAtMs: 0, completedAtMs: 0 },
  }
  assert.match(String(jobJson(job, { handlers }).url), /^https:\/\/h\.example\/x\?(?!code)/)
})

test('a time without a zone is UTC', () => {
  assert.equal(parseWrittenTime('2026-03-01T12:00:00'), Date.UTC(2026, 2, 1, 12))
  assert.equal(parseWrittenTime('2026-03-01 12:00'), Date.UTC(2026, 2, 1, 12))
  assert.equal(parseWrittenTime('2026-03-01'), Date.UTC(2026, 2, 1))
  assert.equal(parseWrittenTime('2026-03-01T12:00:00+02:00'), Date.UTC(2026, 2, 1, 10))
  assert.equal(parseWrittenTime('yesterday'), null)
})

test('what is no day of the calendar, or no whole date, is no time and not one near to it', () => {
  for (const text of ['2026-02-30', '2026-04-31T10:00', '2026-00-10', '2026-13-01', 'week 12', 'last-week-7'])
    assert.equal(parseWrittenTime(text), null, text)
  for (const text of ['2026', '2026-03', '2026-3-1', '+275760-09-13', '2026-03-01T25:00', ''])
    assert.equal(parseWrittenTime(text), null, text)
  assert.equal(parseWrittenTime('2028-02-29'), Date.UTC(2028, 1, 29))
})

test('a range that ends before it begins, holds a NUL or has offsets that no store can hold is refused', () => {
  const asked = (more: object) => recordsBody.safeParse({ source: 'a', ...more }).success
  assert.ok(asked({ from_offset: 5, to_offset: 5 }))
  assert.ok(!asked({ from_offset: 5, to_offset: 4 }))
  assert.ok(!asked({ since: '2026-03-02', until: '2026-03-01' }))
  assert.ok(!asked({ from_offset: 0, filter: 'event.type == "\0"' }))
  const held = (more: object) => holdBody.safeParse({ topic: 't', reason: 'r', ...more }).success
  assert.ok(held({ from_offset: '5', to_offset: '5' }))
  assert.ok(!held({ from_offset: '5', to_offset: '4' }))
  assert.ok(!held({ from_offset: '9999999999999999999' }))
})

test('only the very token is let in', () => {
  const isAllowed = createTokenCheck('secret')
  assert.equal(isAllowed('Bearer secret'), true)
  for (const header of [undefined, '', 'secret', 'Basic secret', 'Bearer secret2', 'Bearer '])
    assert.equal(isAllowed(header), false, String(header))
})

test('line breaks between tokens become spaces, and no token changes', () => {
  const line = exportLine(event, Buffer.from('{\r\n  "a": "x\\ny",\n"b": 1.0e5 }\n'))
  assert.ok(line.includes('"payload":{    "a": "x\\ny", "b": 1.0e5 } ,"created_at"'), line)
  assert.equal(line.indexOf('\n'), line.length - 1)
})

test('an export line holds the JSON text unchanged, and anything else as base64', () => {
  const text = '{"amount": 1.10, "big": 12345678901234567890}'
  assert.ok(exportLine(event, Buffer.from(text)).includes(`"payload":${text},"created_at"`))
  for (const body of [Buffer.from('no json'), Buffer.from([0xff, 0xfe]), Buffer.alloc(0)])
    assert.equal(
      (JSON.parse(exportLine(event, body)) as Record<string, unknown>)['payload_base64'],
      body.toString('base64'),
    )
})
