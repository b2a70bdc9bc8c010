/** `hooktrail validate` as a process on real files: overlays, places, what is no configuration, and exit codes. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'

const MAIN = new URL('../../cli/main.ts', import.meta.url).pathname
const folder = mkdtempSync(path.join(tmpdir(), 'config-commands-'))
const base =
  'version: 1\nsources: { a: { verify: none } }\nhandlers: { h: { source: a, url: https://x.org/ } }\n'

after(() => {
  rmSync(folder, { recursive: true })
})

function write(name: string, content: string | Buffer): string {
  const file = path.join(folder, name)
  writeFileSync(file, content)
  return file
}

interface Ended {
  readonly status: number | null
  readonly out: string
  readonly err: string
}

function run(...args: string[]): Ended {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    cwd: folder,
    encoding: 'utf8',
  })
  return { status, out: stdout, err: stderr }
}

function validate(...args: string[]): Ended {
  return run('validate', ...args)
}

test('an overlay beside the file is merged over it, and its faults name it', () => {
  const file = write('over.yaml', base)
  write('over.good.yaml', `digest_key: '${'ab'.repeat(32)}'\n`)
  write('over.bad.yaml', '# twice wrong\nhandlers: { h: { method: GET } }\nserver: { prt: 1 }\n')
  const good = validate('-c', file, '--env', 'good')
  assert.equal(good.status, 0, good.out + good.err)
  assert.match(good.out, /over\.yaml is valid \(generation [0-9a-f]{16}\)/)
  const bad = validate('-c', file, '--env', 'bad')
  assert.equal(bad.status, 1)
  assert.match(
    bad.out,
    /over\.bad\.yaml:2:18 handlers\.h\.method is GET, but must be one of POST, PUT, PATCH/,
  )
  assert.match(bad.out, /over\.bad\.yaml:3:11 server\.prt is an unknown key\n {4}did you mean port\?/)
})

test('an overlay that is not there, or has no name, is refused', () => {
  const file = write('alone.yaml', base)
  const missing = validate('-c', file, '--env', 'none')
  assert.equal(missing.status, 78)
  assert.match(missing.err, /CONFIG_FILE_UNREADABLE[\s\S]*alone\.none\.yaml/)
  assert.equal(validate('-c', file, '--env', '../x').status, 64)
})

test('before the first start of one box the generation is not known, and not made up', () => {
  assert.match(validate('-c', write('new.yaml', base)).out, /new\.yaml is valid\n$/)
})

test('a file that is too large, no UTF-8 or without an end is one fault', () => {
  const large = validate('-c', write('large.yaml', Buffer.alloc(5 * 2 ** 20, '#')))
  assert.match(large.out, /large\.yaml:1:1 the file is larger than/)
  const latin = write('latin.yaml', Buffer.concat([Buffer.from(`${base}# `), Buffer.from([0xe9])]))
  assert.match(validate('-c', latin).out, /latin\.yaml:4:3 the file is not UTF-8/)
  assert.match(validate('-c', '/dev/zero').out, /the file is larger than/)
  const endless = write('endless.yaml', `${base}digest_key: "\${file:/dev/zero}"\n`)
  assert.match(
    validate('-c', endless).out,
    /endless\.yaml:4:13 digest_key the file \/dev\/zero cannot be read: it is larger/,
  )
})

test('a start on a configuration with faults names the command that checks the same files', () => {
  const file = write('faulty.yaml', `${base}log: { partitions: 0 }\n`)
  write('faulty.prod.yaml', 'server: { port: 1 }\n')
  const { status, err } = run('start', '-c', file, '--env', 'prod')
  assert.equal(status, 78)
  assert.ok(err.includes(`\n  to do: hooktrail validate -c ${file} --env prod\n`), err)
  assert.equal(err.match(/to.do:/g)?.length, 1)
})

test('init names the variable that the secret is taken from, and validate the ways out while it is missing', () => {
  const made = run('init', '--template', 'stripe', '-c', 'made.yaml')
  assert.equal(made.status, 0, made.err)
  assert.match(made.out, /secret from STRIPE_SECRET[\s\S]*export STRIPE_SECRET=/)
  assert.match(validate('-c', 'made.yaml').out, /no variable STRIPE_SECRET: export it/)
})
