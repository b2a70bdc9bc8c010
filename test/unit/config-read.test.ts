/** Reading hooktrail.yaml: places of faults, expansions, defaults, cross-checks, and that no text makes it throw. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { makeSigner } from '../../core/archive/signed-note.ts'
import { readConfig } from '../../core/config/read-config.ts'
import { starterConfig, templateConfig } from '../../core/config/starter.ts'
import { summarizeSources } from '../../core/config/warn-config.ts'
import { env, faultsOf, handler, hasFault, read, source, valid } from '../support/config-reader.ts'

test('an almost empty file gets the defaults', () => {
  const config = valid('version: 1\n')
  assert.equal(config.server.host, '0.0.0.0')
  assert.equal(config.server.port, 8888)
  assert.equal(config.server.bodyBytesMax, 5 * 2 ** 20)
  assert.equal(config.log.retentionMs, 7 * 86_400_000)
  assert.equal(config.worker.retentionHours, 72)
})

test('several faults are reported at once, in order, with line and column', () => {
  const faults = faultsOf(
    'version: 1\nservr: {}\nserver: { prt: 1, max_body: much }\nhandlers:\n  h: { source: x }\n',
  )
  assert.deepEqual(
    faults.map(({ path, line, column }) => [path, line, column]),
    [
      ['servr', 2, 1],
      ['server.prt', 3, 11],
      ['server.max_body', 3, 19],
      ['handlers.h.url', 5, 3],
      ['handlers.h.source', 5, 8],
    ],
  )
  assert.equal(faults[0]?.hint, 'did you mean server?')
  assert.equal(faults[1]?.hint, 'did you mean port?')
})

test('references are expanded in values, quoted or not, and never add keys', () => {
  const text = `version: 1
server: { port: \${PORT:-9000} }
sources:
  a: { verify: github, secrets: [\${SECRET}, \${file:/run/secret}, "\${TRICKY}"] }
  b: { verify: github, secret: 'literal-$\${SECRET}' }
`
  const config = valid(text)
  assert.equal(config.server.port, 9000)
  assert.deepEqual(config.sources[0]?.secrets, [env.SECRET, 'from-a-file', env.TRICKY])
  assert.deepEqual(config.sources[1]?.secrets, ['literal-${SECRET}'])
})

test('the public key of an archive is checked where it is given, and empty while nobody knows it', () => {
  const { vkey } = makeSigner(generateKeyPairSync('ed25519').privateKey, 'hooktrail-archive')
  const withKey = (key: string): string => `version: 1\narchive: { public_key: '${key}' }\n`
  assert.equal(valid(withKey(vkey)).archive.publicKey, vkey)
  assert.equal(valid(withKey('')).archive.publicKey, null)
  const [fault, ...others] = faultsOf(withKey(vkey.replace('+', '+0')))
  assert.deepEqual([fault?.path, others], ['archive.public_key', []])
})

test('a reference that leads nowhere is one fault that names it', () => {
  const faults = faultsOf('version: 1\nserver: { port: ${ABSENT} }\ndigest_key: "${file:/gone}"\n')
  assert.equal(faults.length, 2)
  assert.match(faults[0]?.message ?? '', /ABSENT/)
  assert.equal(faults[0]?.column, 17)
  assert.match(faults[1]?.message ?? '', /\/gone/)
})

test('a source names a subject of a registry, whose password is not shown', () => {
  const registry =
    'schema_registry: { url: "http://r:8081/", credentials: { username: u, password: hidden-1 } }'
  const source = (schema: string): string => `sources: { a: { verify: none, schema: ${schema} } }`
  const text = `version: 1\n${registry}\n${source('{ subject: orders }')}\n`
  const { schemaRegistry, sources, redacted } = valid(text)
  assert.deepEqual(schemaRegistry?.credentials, { username: 'u', password: 'hidden-1' })
  assert.deepEqual(sources[0]?.schema, { subject: 'orders', mode: 'validate', onFailure: 'reject' })
  assert.ok(!JSON.stringify(redacted).includes('hidden-1'))
  hasFault(`version: 1\n${source('{ subject: x }')}\n`, 'sources.a.schema', /needs schema_registry/)
  hasFault('version: 1\nschema_registry: {}\n', 'schema_registry', /has no url/)
  hasFault(
    `version: 1\n${registry}\n${source('{ mode: decode }')}\n`,
    'sources.a.schema.subject',
    /is missing/,
  )
})

test('keys and values of later versions are refused by name', () => {
  for (const [text, path] of [
    ['alerts: []', 'alerts'],
    ['log: { schema_registry: x }', 'log.schema_registry'],
    ['archive: { replica: x }', 'archive.replica'],
    ['sources: { a: { verify: none, kind: cron } }', 'sources.a.kind'],
  ] as const)
    hasFault(`version: 1\n${text}\n`, path, /not available in this version/)
  hasFault(handler('renamed_from: 1'), 'handlers.h.renamed_from', /not available in this version/)
})

test('a source is never unverified by accident', () => {
  const one = (members: string): string => `version: 1\nsources: { a: { ${members} } }\n`
  hasFault(one('secret: some-secret'), 'sources.a.verify', /missing/)
  hasFault(one('verify: github'), 'sources.a', /no secret/)
  hasFault(one('verify: github, secrets: []'), 'sources.a', /no secret/)
  hasFault(one("verify: github, secret: ''"), 'sources.a.secret', /secret/)
  hasFault(one('verify: none, secret: some-secret'), 'sources.a.verify', /none uses no secret/)
  hasFault(
    one('verify: githb, secret: some-secret'),
    'sources.a.verify',
    /is githb, but must be one of .*did you mean github/,
  )
  hasFault(one("verify: standard-webhooks, secret: 'whsec_not base64'"), 'sources.a.secret', /base64/)
  hasFault(one('verify: { scheme: hmac }, secret: some-secret'), 'sources.a.verify', /header/)
  hasFault(
    one("verify: { scheme: hmac, header: x, signed: '{timestamp}.{body}' }, secret: some-secret"),
    'sources.a.verify',
    /timestamp_header/,
  )
  hasFault(one('verify: github, secret: x1, secrets: [x2]'), 'sources.a.secret', /beside/)
})

test('no fault shows a secret', () => {
  const text = `version: 1\nsources: { a: { verify: standard-webhooks, secret: "${env.SECRET}!" } }\n`
  assert.ok(!JSON.stringify(faultsOf(text)).includes(env.SECRET))
  const written =
    'version: 1\napi: { auth_token: hunter2 }\nsources: { a: { verify: none, secret: [hunter2] } }\n'
  assert.ok(!JSON.stringify(faultsOf(written)).includes('hunter2'))
})

test('what a handler cannot do is a fault', () => {
  hasFault(handler('filter: "payload. >"'), 'handlers.h.filter', /CEL/)
  hasFault(handler('events: ["a*b"]'), 'handlers.h.events.0', /prefix/)
  hasFault(handler('headers: { x: "a\\nb" }'), 'handlers.h.headers.x', /control/)
  hasFault(handler('timeout: 1h'), 'handlers.h.timeout', /5m/)
  hasFault(handler('retry: { backoff: [] }'), 'handlers.h.retry.backoff', /list/)
  hasFault(
    `version: 1\n${source}handlers: { h: { source: b, url: 'https://x.org/' } }`,
    'handlers.h.source',
    /no source has this name/,
  )
  hasFault('version: 1\nsources: { Bad: { verify: none } }', 'sources.Bad', /name/)
  hasFault('version: 1\nsources: { a: { verify: none, type: "$.[" } }', 'sources.a.type', /path/)
  hasFault('version: 1\nlog: { disk: { alarm: 95% } }', 'log.disk.alarm', /shed/)
  hasFault('version: 1\narchive: { heartbeat: 1h, idle_heartbeat: 1m }', 'archive.idle_heartbeat', /shorter/)
})

test('a private address is refused with the line to add, which then works', () => {
  for (const host of ['127.0.0.1', 'localhost', '10.0.0.1', '[::1]', '2130706433', '169.254.169.254']) {
    const text = (more: string): string =>
      `version: 1\n${source}handlers: { h: { source: a, url: 'http://${host}/'${more} } }\n`
    const fault = faultsOf(text('')).find(({ path }) => path === 'handlers.h.url')
    const line = /^add: (allow_private: .*)$/.exec(fault?.hint ?? '')?.[1]
    assert.ok(line !== undefined, host)
    valid(text(`, ${line}`))
  }
})

test('the echo receiver needs a port that no listener of hooktrail has', () => {
  const text = (port: number): string =>
    `version: 1\nserver: { port: 8888 }\napi: { listen: '127.0.0.1:9090' }\n${source}` +
    `handlers: { h: { source: a, url: 'http://localhost:${port}/hooktrail-echo', allow_private: true } }\n`
  hasFault(text(8888), 'handlers.h.url', /server\.port/)
  hasFault(text(9090), 'handlers.h.url', /api\.listen/)
  valid(text(8889))
})

test('retry, allow_private and hmac keep what was written', () => {
  const config = valid(
    handler('retry: { max: 4, backoff: fixed, interval: 100ms }, allow_private: [10.0.0.0/8]'),
  )
  assert.deepEqual(config.handlers[0]?.retry, { attemptsMax: 4, backoff: { kind: 'fixed', intervalMs: 100 } })
  assert.deepEqual(config.handlers[0].allowPrivate, ['10.0.0.0/8'])
})

test('a retry horizon longer than the log keeps events is a warning', () => {
  const result = read(handler('retry: { max: 20, backoff: [1d] }'))
  assert.ok(result.ok && result.warnings.some((warning) => warning.includes('log.retention')))
})

test('a secret that can be guessed from one request is a warning', () => {
  const warned = (secret: string): boolean => {
    const result = read(`version: 1\nsources: { a: { verify: github, secret: '${secret}' } }\n`)
    assert.ok(result.ok)
    return result.warnings.some((warning) => /sources\.a has a secret of fewer/.test(warning))
  }
  assert.ok(warned('hunter2'))
  assert.ok(!warned('0123456789abcdef'))
})

test('the redacted form holds no secret', () => {
  const one = valid(handler('headers: { authorization: "Bearer ${SECRET}" }'))
  assert.ok(!JSON.stringify(one.redacted).includes(env.SECRET))
  assert.deepEqual(summarizeSources(one), [
    'a: log 7d → search 3d → archive $HOOKTRAIL_HOME/archive (not locked)',
  ])
})

test('the starter and every template are valid', () => {
  const config = valid(
    starterConfig({ secret: 'generated-secret', echoUrl: 'http://127.0.0.1:8888/echo', port: 8888 }),
  )
  assert.equal(config.handlers[0]?.url, 'http://127.0.0.1:8888/echo')
  const secret = `whsec_${Buffer.alloc(24, 1).toString('base64')}`
  for (const scheme of ['github', 'stripe', 'standard-webhooks'] as const) {
    const result = readConfig(
      { text: templateConfig(scheme), file: '', overlay: null },
      {
        env: { GITHUB_SECRET: secret, STRIPE_SECRET: secret, PARTNER_SECRET: secret },
        readFile: () => '',
      },
    )
    assert.ok(result.ok, JSON.stringify(result))
  }
})

test('no text makes it throw', () => {
  const piece = fc.oneof(
    fc.string(),
    fc.constantFrom(
      'version: 1\n',
      'sources: ',
      'handlers: ',
      '{ ',
      '} ',
      '[',
      '&a ',
      '*a ',
      '${X',
      '${',
      ': ',
      '\n  ',
      '__proto__: ',
      '!!map ',
      '<<: ',
      '? ',
    ),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
      const result = read(pieces.join(''))
      assert.ok(result.ok || result.faults.every(({ line, column }) => line > 0 && column > 0))
    }),
    { numRuns: 2000 },
  )
})

test('a mapping of any form makes it report, not throw', () => {
  const names = [
    'version',
    'server',
    'sources',
    'handlers',
    'a',
    'verify',
    'url',
    'source',
    'retry',
    'headers',
    'scheme',
  ]
  const value = fc.letrec((tie) => ({
    node: fc.oneof(
      { maxDepth: 5 },
      fc.jsonValue({ maxDepth: 1 }),
      fc.dictionary(fc.constantFrom(...names), tie('node')),
    ),
  })).node
  fc.assert(
    fc.property(value, (json) => {
      const result = read(JSON.stringify(json))
      assert.ok(result.ok || result.faults.length > 0)
    }),
    { numRuns: 200 },
  )
})
