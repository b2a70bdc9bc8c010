/** Files that are no configuration, by accident or on purpose: each is a clear fault with a place, and none hangs. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parse, stringify } from 'yaml'
import { FAULTS_MAX } from '../../core/config/config-fault.ts'
import { faultsOf, read, tellingsOf, valid } from '../support/config-reader.ts'

const signing = `whsec_${Buffer.alloc(24, 1).toString('base64')}`
const retry = '{ max: 3, backoff: [5s, 1m], interval: 1s, max_interval: 1h }'
const full: unknown = parse(`
version: 1
digest_key: ${'ab'.repeat(32)}
server: { host: 127.0.0.1, port: 9000, max_body: 1MiB, max_inflight_bytes: 64MiB, trusted_proxies: [10.0.0.0/8] }
log: { driver: postgres, topic_prefix: p, partitions: 2, retention: 3d, disk: { capacity: 1GiB, alarm: 50%, shed: 60% } }
database: { url: postgres://db/x, max_connections: 10 }
queue: { driver: postgres }
archive:
  { driver: directory, directory: /a, format: jsonl.zst, worm: off, heartbeat: 10s, idle_heartbeat: 1m,
    roll: { bytes: 1MiB, records: 10, age: 1m } }
api: { listen: "127.0.0.1:9001", auth_token: ${'x'.repeat(16)}, metrics_auth_token: ${'y'.repeat(16)}, require_reason: true }
delivery:
  { default_retry: ${retry}, timeout: 5s, signing_secrets: [${signing}], event_ttl: 1d,
    response_bytes_kept: { ok: 1, failed: 2 } }
worker: { retention_hours: 1, dead_retention_hours: 2, max_concurrency: 3, drain_timeout: 1s }
sources:
  s:
    { kind: webhook, verify: stripe, secrets: ["\${SECRET}"], order_by: $.a, type: $.type, deadline: 1s, max_body: 1KiB,
      dedup: { key: $.id, window: 1d, on_conflict: drop } }
  h:
    secret: s1
    verify:
      { scheme: hmac, header: x, prefix: "a=", algorithm: sha512, encoding: base64, signed: "{timestamp}.{id}.{body}",
        timestamp_header: t, id_header: i, tolerance: 1m }
handlers:
  b:
    { source: s, events: [a.*], filter: has(payload.a), url: "http://127.0.0.1/", method: PUT, headers: { x: y },
      allow_private: [127.0.0.0/8], timeout: 1s, retry: ${retry}, concurrency: 1, start: earliest,
      signing_secrets: [${signing}] }
`)

/** Members of mappings and lists, each with the path to it. */
function pathsOf(value: unknown, at: readonly string[] = []): readonly (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) => [[...at, key], ...pathsOf(inner, [...at, key])])
}

/** What becomes of one member: removed, under another name as well, or of another value. */
function changed(
  value: unknown,
  [name, ...rest]: readonly string[],
  change: (old: unknown) => readonly [string, unknown][],
): unknown {
  if (typeof value !== 'object' || value === null || name === undefined) return value
  const entries = Object.entries(value).flatMap(([key, inner]): readonly [string, unknown][] => {
    if (key !== name) return [[key, inner]]
    return rest.length > 0
      ? [[key, changed(inner, rest, change)]]
      : change(inner).map(([suffix, next]) => [key + suffix, next])
  })
  return Array.isArray(value) ? entries.map(([, inner]) => inner) : Object.fromEntries(entries)
}

function assertClear(text: string, overlay?: string): void {
  const result = read(text, overlay)
  if (result.ok) return
  assert.ok(result.faults.length > 0 && result.faults.length <= FAULTS_MAX)
  for (const { line, column, message } of result.faults)
    assert.ok(line > 0 && column > 0 && message.length > 0)
}

const odd = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    '',
    0,
    -1,
    1e21,
    true,
    [],
    {},
    [[]],
    [null],
    { a: 1 },
    '${SECRET}',
    '${ABSENT}',
    '${',
    '\u0000',
    'x'.repeat(20_000),
  ),
  fc.jsonValue({ maxDepth: 2 }),
  fc.string(),
)

test('the full configuration is valid', () => {
  valid(stringify(full))
})

/** Names of the author's own may be anything. */
const isKey = (path: readonly string[]): boolean =>
  !/^(?:sources|handlers)\.\w+$|\.headers\.\w+$|\.\d+$/.test(path.join('.'))

test('one malformed value or one misspelt key of a full configuration is one fault', () => {
  for (const path of pathsOf(full)) {
    const malformed = faultsOf(stringify(changed(full, path, () => [['', [[]]]])))
    assert.equal(malformed.length, 1, path.join('.'))
    if (!isKey(path)) continue
    const misspelt = faultsOf(stringify(changed(full, path, (old) => [['x', old]])))
    assert.deepEqual(
      misspelt.map((fault) => fault.path),
      [`${path.join('.')}x`],
    )
  }
})

test('changed members of a full configuration are faults with a place, alone and over the whole one', () => {
  const change = fc.tuple(
    fc.constantFrom(...pathsOf(full)),
    fc.oneof(
      fc.constant<readonly ['remove']>(['remove']),
      fc.tuple(fc.constant('rename' as const), fc.string({ minLength: 1, maxLength: 4 })),
      fc.tuple(fc.constant('replace' as const), odd),
    ),
  )
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
      const mutated = changes.reduce<unknown>(
        (value, [path, [kind, next]]) =>
          changed(value, path, (old) => {
            if (kind === 'remove') return []
            return kind === 'rename' ? [[next, old]] : [['', next]]
          }),
        full,
      )
      const text = stringify(mutated)
      assertClear(text)
      assertClear(stringify(full), text)
    }),
    { numRuns: 200 },
  )
})

test('changed characters of a full configuration are faults with a place', () => {
  const text = stringify(full)
  const piece = fc.constantFrom(
    '',
    ' ',
    '\n',
    '\t',
    ':',
    '- ',
    '"',
    "'",
    '{',
    '}',
    '[',
    ']',
    '&a ',
    '*a',
    '|',
    '#',
    '%',
    '\r',
    '\uFEFF',
    '\u2028',
    '${',
    '!!set ',
    '? ',
  )
  const edit = fc.tuple(fc.nat(text.length), fc.nat(8), piece)
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
      assertClear(
        edits.reduce((now, [at, length, put]) => now.slice(0, at) + put + now.slice(at + length), text),
      )
    }),
    { numRuns: 200 },
  )
})

test('a line break of Windows, a byte order mark and no line break at the end are read', () => {
  const text = stringify(full)
  assert.deepEqual(valid(`\uFEFF${text.replaceAll('\n', '\r\n')}`), valid(text))
  assert.deepEqual(valid(text.trimEnd()), valid(text))
  assert.deepEqual(faultsOf('\uFEFFversio: 1')[0]?.column, 1)
})

test('what is no text of a configuration is one fault that says so', () => {
  const notUtf8 = Buffer.concat([Buffer.from('version: 1\nserver: { host: "'), Buffer.from([0xe9, 0x22])])
  for (const [text, expected] of [
    [`version: 1\n# ${'x'.repeat(5 * 2 ** 20)}`, 'the file is larger than 1048576 characters'],
    ['version: 1\n\0', 'the file holds the character U+0000, which has no meaning here'],
    [notUtf8.toString('utf8'), 'the file is not UTF-8'],
    [
      Buffer.from('version: 1', 'utf16le').toString('utf8'),
      'the file holds the character U+0000, which has no meaning here',
    ],
    [`version: 1\nserver: ${'['.repeat(5000)}${']'.repeat(5000)}`, 'is nested too deeply'],
    [`version: 1\nserver: ${'['.repeat(40)}${']'.repeat(40)}`, 'is nested too deeply'],
    ['version: 1\nserver: &a { host: *a }', 'contains itself'],
    ['version: 1\n---\nversion: 1', 'multiple documents'],
    ['version: 1\nserver:\n\tport: 1\n', 'Tabs are not allowed as indentation'],
  ] as const) {
    const tellings = tellingsOf(text)
    assert.ok(
      tellings.some((telling) => telling.includes(expected)),
      tellings[0],
    )
  }
})

test('an expanding chain of aliases is refused', () => {
  const lines = Array.from(
    { length: 9 },
    (_, index) => `l${index + 1}: &l${index + 1} [${Array(9).fill(`*l${index}`).join()}]`,
  )
  assert.deepEqual(tellingsOf(['l0: &l0 [lol]', ...lines].join('\n')), [
    ' the file uses more than 100 aliases',
  ])
})

test('twenty thousand keys, faults, duplicates or references end with the first faults', () => {
  const many = (line: (index: number) => string): string =>
    Array.from({ length: 20_000 }, (_, index) => line(index)).join('\n')
  for (const text of [
    many((index) => `k${index}: 1`),
    many(() => 'k: 1'),
    many(() => '\t- ]'),
    many((index) => `k${index}: "\${A${index}}"`),
    `version: 1\nsources:\n${many((index) => `  S${index}: {}`)}`,
    `version: 1\nserver: {${many((index) => `k${index}: 1,`)}}`,
    `version: 1\nserver: { trusted_proxies: [${many(() => 'x,')}] }`,
  ]) {
    const faults = faultsOf(text)
    assert.ok(faults.length > 0 && faults.length <= FAULTS_MAX)
  }
})
