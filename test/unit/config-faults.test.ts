/** All faults at once, none twice: cross-checks beside malformed keys, misspelt words, and what later versions have. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { env, faultsOf, handler, source, tellingsOf } from '../support/config-reader.ts'

test('a malformed key hides no other fault of its source, handler or section', () => {
  const tellings = tellingsOf(`version: 2
log: { partitions: many, disk: { capacity: x, alarm: 95% } }
archive: { roll: { bytes: 1 }, heartbeat: 1h, idle_heartbeat: 1m }
delivery: { timeout: long, signing_secrets: [short] }
sources:
  a: { verify: github, deadline: soon }
  b: { verify: { scheme: hmac, encoding: base32, signed: "{id}" }, secret: s1, max_body: x }
  c: { verify: none, secret: s1, order_by: "$.[" }
handlers:
  h: { source: d, url: "http://10.0.0.1/", filter: "payload. >", timeout: 1h, signing_secrets: [short] }
`)
  const beginnings = [
    'version must be 1',
    'log.partitions must be',
    'log.disk.capacity must be',
    'log.disk.alarm is above',
    'archive.roll.bytes must be',
    'archive.idle_heartbeat is shorter',
    'delivery.timeout must be',
    'delivery.signing_secrets.0 is not base64',
    'sources.a has no secret',
    'sources.a.deadline must be',
    'sources.b.verify hmac needs the header',
    'sources.b.verify {id} is signed',
    'sources.b.verify.encoding is base32, but must be',
    'sources.b.verify.signed must contain {body}',
    'sources.b.max_body must be',
    'sources.c.verify none uses no secret',
    'sources.c.order_by must be',
    'handlers.h.source is d, but no source',
    'handlers.h.url points at a private',
    'handlers.h.filter must be',
    'handlers.h.timeout must be',
    'handlers.h.signing_secrets.0 is not base64',
  ]
  assert.equal(tellings.length, beginnings.length, tellings.join('\n'))
  for (const beginning of beginnings)
    assert.ok(
      tellings.some((telling) => telling.startsWith(beginning)),
      `${beginning} is missing in:\n${tellings.join('\n')}`,
    )
})

test('what was reported has no follow-up', () => {
  for (const [text, path] of [
    ['version: 1\nsources: [a]\nhandlers: { h: { source: a, url: https://x.org } }', 'sources'],
    [
      'version: 1\nsorces: { a: { verify: none } }\nhandlers: { h: { source: a, url: https://x.org } }',
      'sorces',
    ],
    ['version: 1\nsources: { a: { verify: github, secrtes: [s1] } }', 'sources.a.secrtes'],
    ['version: 1\nsources: { a: { verify: github, secret: [s1] } }', 'sources.a.secret'],
    ['version: 1\nsources: { a: { verify: githb } }', 'sources.a.verify'],
    ['version: 1\nsources: { a: { verify: github, secrets: ["${ABSENT}"] } }', 'sources.a.secrets.0'],
    ['version: 1\nsources: { a: { verify: "${ABSENT}" } }', 'sources.a.verify'],
    [
      'version: 1\nsources: { a: { verify: { scheme: hmac, headr: x }, secret: s1 } }',
      'sources.a.verify.headr',
    ],
    ['version: 1\nlog: { disk: { alarm: "${ABSENT}", shed: 1% } }', 'log.disk.alarm'],
    [`version: 1\n${source}handlers: { h: { sorce: a, url: https://x.org } }`, 'handlers.h.sorce'],
    [`version: 1\n${source}handlers: { h: { source: a, url: "http://\${ABSENT}" } }`, 'handlers.h.url'],
    ['version: 1\nserver: { port: 1 }\nserver: { prt: 1 }', 'server'],
  ] as const)
    assert.deepEqual(
      faultsOf(text).map((fault) => fault.path),
      [path],
      text,
    )
})

test('a key that is set twice is a fault at its second place, and the rest is checked, its first value too', () => {
  const faults = faultsOf('version: 1\nserver: { port: 0 }\nlog: { partitions: 0 }\nserver: {}\n')
  assert.deepEqual(
    faults.map(({ path, line, column }) => [path, line, column]),
    [
      ['server.port', 2, 11],
      ['log.partitions', 3, 8],
      ['server', 4, 1],
    ],
  )
})

test('a misspelt word is named, with the known ones and the nearest', () => {
  assert.deepEqual(tellingsOf('version: 1\nsources: { a: { verify: stripee, secret: s1 } }'), [
    'sources.a.verify is stripee, but must be one of github, stripe, standard-webhooks, hmac, none (did you mean stripe?)',
  ])
  assert.deepEqual(tellingsOf('version: 1\nsources: { a: { verify: { scheme: acme }, secret: s1 } }'), [
    'sources.a.verify.scheme is acme, but must be one of github, stripe, standard-webhooks, hmac, none',
  ])
  assert.match(
    tellingsOf('version: 1\nsources: { a: {} }')[0] ?? '',
    /^sources\.a\.verify is missing: must be one of github/,
  )
  const hidden = JSON.stringify(faultsOf('version: 1\nsources: { a: { verify: "${SECRET}" } }'))
  assert.ok(!hidden.includes(env.SECRET), 'a value that a reference brought in is never shown')
})

test('what a later version has is refused with what to use instead, and never taken for a misspelling', () => {
  for (const [text, expected] of [
    ['alerts: []', /^alerts is not available in this version \(instead: /],
    ['pools: {}', /^pools is not available in this version \(instead: /],
    ['server: { tls: {} }', /^server.tls is not available in this version \(instead: .*proxy/],
    [
      'sources: { a: { verify: gitlab, secret: s1 } }',
      /^sources.a.verify gitlab is not available .*use hmac/,
    ],
  ] as const) {
    const tellings = tellingsOf(`version: 1\n${text}\n`)
    assert.equal(tellings.length, 1, tellings.join('\n'))
    assert.match(tellings[0] ?? '', expected)
  }
  assert.deepEqual(
    faultsOf(`version: 1\n${source}handlers: { h: { source: a, retry: { on: [] } } }`).map(
      ({ path }) => path,
    ),
    ['handlers.h.url', 'handlers.h.retry.on'],
    'on stands for no misspelt key',
  )
})

test('a database of one’s own needs the digest key in the file', () => {
  const text = 'version: 1\ndatabase: { url: "postgres://db/hooktrail" }\n'
  assert.match(tellingsOf(text)[0] ?? '', /^database.url needs digest_key/)
  assert.deepEqual(
    faultsOf(`${text}digest_key: "\${ABSENT}"`).map(({ path }) => path),
    ['digest_key'],
  )
})

test('a filter that names what does not exist is refused with its place in the expression', () => {
  for (const [filter, expected] of [
    ['payload.a == 1 && payloda.b', /1:19: no variable payloda; did you mean payload/],
    ['event.typ == "x"', /1:6: event has no typ; did you mean type/],
    ['payload.a.startswith("x")', /no function startswith; did you mean startsWith/],
    ['has(payload)', /has cannot be called like this/],
    ['payload.l.exist(i, i > 1)', /no function exist; did you mean exists/],
    ['payload.l.exists(i, j > 1)', /no variable j/],
    ['headers["X-Kind"] == "a"', /lower case/],
    ['payload. >', /: 1:8: found/],
  ] as const) {
    const tellings = tellingsOf(handler(`filter: '${filter}'`))
    assert.equal(tellings.length, 1, tellings.join('\n'))
    assert.match(tellings[0] ?? '', /^handlers\.h\.filter must be a CEL/)
    assert.match(tellings[0] ?? '', expected)
  }
})

test('object lock needs a bucket, a retention, and for compliance its period twice', () => {
  const s3 = 'driver: s3, bucket: trail'
  for (const [archive, expected] of [
    ['worm: required', /archive\.worm is required, and a folder has no object lock/],
    [`${s3}, worm: preferred`, /how long objects are to be locked is not said/],
    [
      `${s3}, retention: { mode: governance, period: 1d }`,
      /archive\.retention is read where archive\.worm is on/,
    ],
    [
      `${s3}, worm: required, retention: { mode: compliance, period: 7y }`,
      /its period is said twice.*confirm: 7y/,
    ],
    [
      `${s3}, worm: required, retention: { mode: compliance, period: 7y, confirm: 7d }`,
      /its period is said twice.*confirm: 7y/,
    ],
    [`${s3}, worm: required, retention: { mode: governance, period: 1d, confirm: 1d }`, /needs none/],
  ] as const)
    assert.match(tellingsOf(`version: 1\narchive: { ${archive} }\n`).join(), expected)
})

test('a variable that the environment lacks is told with the ways out', () => {
  assert.match(
    tellingsOf('version: 1\napi: { auth_token: "${LACKING}" }\n').join(),
    /no variable LACKING: export it, or write \$\{file:\/path\} or \$\{LACKING:-default\}/,
  )
})
