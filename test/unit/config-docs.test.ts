/** docs/config.md says of every key what the schema says, and its examples are valid. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { configKeys } from '../../core/config/config-keys.ts'
import { readConfig } from '../../core/config/read-config.ts'
import { compileFilter, filterFunctionNames } from '../../core/match/filter.ts'
import { schemeOf } from '../../core/verify/scheme-table.ts'
import { FILTER_MACROS, FILTER_TYPES } from '../../core/match/filter-names.ts'

const docs = join(import.meta.dirname, '..', '..', 'docs')
const page = readFileSync(join(docs, 'config.md'), 'utf8')
const sizes = readFileSync(join(docs, 'sizes.md'), 'utf8')

test('the table of docs/config.md has exactly the keys of the schema, with kind, default and meaning', () => {
  const documented = page
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
  const expected = configKeys().map(({ key, kind, default: value, meaning }) => [
    `\`${key}\``,
    kind,
    value === null ? '' : `\`${value}\``,
    meaning,
  ])
  assert.deepEqual(documented, expected)
})

test('docs/config.md names signature, dedup key, type and tolerance of each scheme', () => {
  for (const scheme of ['github', 'stripe', 'standard-webhooks'] as const) {
    const found = schemeOf({ scheme, hmac: null, toleranceSeconds: null })
    const [, , signature = '', , dedup = '', type = '', tolerance] =
      page
        .split('\n')
        .find((line) => line.startsWith(`| ${scheme} |`))
        ?.split('|')
        .map((cell) => cell.trim()) ?? []
    assert(found)
    for (const family of found.families) {
      assert(signature.includes(`\`${family.signature}\``))
      assert(family.id === null || dedup.includes(`\`${family.id}\``))
    }
    for (const [source, cell] of [
      [found.dedup, dedup],
      [found.type, type],
    ] as const) {
      if (source?.from === 'header') assert(cell.includes(`\`${source.name}\``))
      if (source?.from === 'body') assert(cell.includes(`\`${source.path}\``))
    }
    assert.equal(tolerance, found.toleranceSeconds === null ? 'none' : `${found.toleranceSeconds / 60}m`)
  }
})

test('every example of docs/config.md and docs/sizes.md is valid', () => {
  const examples = [...(page + sizes).matchAll(/```yaml\n([\s\S]*?)```/g)].map((match) => match[1] ?? '')
  assert.equal(examples.length, 4)
  const secret = `whsec_${Buffer.alloc(24, 1).toString('base64')}`
  const names = [
    'STRIPE_NEW',
    'STRIPE_OLD',
    'PARTNER_SECRET',
    'APP_SIGNING_SECRET',
    'KAFKA_PASSWORD',
    'API_TOKEN',
    'GITHUB_SECRET',
    'S3_KEY',
    'S3_SECRET',
  ]
  const urls = { DATABASE_URL: 'postgres://db/hooktrail', REDIS_URL: 'redis://cache' }
  const env = { ...Object.fromEntries(names.map((name) => [name, secret])), ...urls }
  const readFile = (path: string): string =>
    path.endsWith('.key') ? '-----BEGIN PRIVATE KEY-----' : 'x'.repeat(64)
  for (const text of examples) {
    const result = readConfig({ text, file: 'config.md', overlay: null }, { env, readFile })
    assert.ok(result.ok, JSON.stringify(result))
  }
})

test('docs/config.md lists what filters may call, and its examples compile', () => {
  for (const [title, names] of [
    ['Macros', FILTER_MACROS],
    ['Functions', filterFunctionNames],
    ['Types', FILTER_TYPES],
  ] as const)
    assert.ok(page.includes(`- ${title}: ${names.map((name) => `\`${name}\``).join(', ')}\n`), title)
  const [, block = ''] = /```cel\n([\s\S]*?)```/.exec(page) ?? []
  const examples = block.trim().split('\n')
  assert.ok(examples.length > 1)
  for (const example of examples) {
    const empty = { payload: {}, event: { id: '', source: '', type: '', receivedAtMs: 0 }, headers: {} }
    assert.equal(compileFilter(example).evaluate(empty).kind, 'no-match', example)
  }
})
