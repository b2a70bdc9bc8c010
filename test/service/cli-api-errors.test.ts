/** The command line against an API that refuses, and without a token: what is said, where, and with which exit code. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createServer, listen } from '../../adapters/http/server.ts'
import { createErrorHandler } from '../../api/problem.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import { freePort, HOOKTRAIL } from '../support/installation.ts'
import { silentLogger } from '../support/postgres.ts'

const config = { host: '127.0.0.1', port: 0, bodyBytesMax: 1024, inFlightBytesMax: 1024, trustedProxies: [] }

async function hooktrail(cwd: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(?:HOOKTRAIL_|FORCE_COLOR$)/.test(name))
  const child = spawn(HOOKTRAIL, args, {
    cwd,
    env: { ...Object.fromEntries(inherited), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk: Buffer) => (output.stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (output.stderr += chunk.toString()))
  await once(child, 'close')
  return { ...output, code: child.exitCode }
}

test('the API is heard once: its problem as an error, its list as a table, and JSON on request', async () => {
  const app = createServer(config)
  await app.register((api, _options, registered) => {
    api.setErrorHandler(createErrorHandler(silentLogger))
    api.get('/api/jobs/:id', () => {
      throw new HooktrailError('API_JOB_NOT_FOUND', { id: 'j' })
    })
    registered()
  })
  const list = { items: [{ id: 'e.h', event_type: 'paid', status: 'dead', attempt: 3 }], next: 'e.h' }
  app.get('/api/jobs', () => list)
  const folder = await mkdtemp(join(tmpdir(), 'hooktrail-cli-'))
  try {
    const env = {
      HOOKTRAIL_URL: await listen(app, config),
      HOOKTRAIL_TOKEN: 't',
    }
    const refused = await hooktrail(folder, ['jobs', 'get', 'j'], env)
    assert.deepEqual([refused.code, refused.stdout], [65, ''])
    assert.match(
      refused.stderr,
      /^hooktrail: there is no such job \(API_JOB_NOT_FOUND\)\n {2}id: j\n[\s\S]*to do: hooktrail jobs list/,
    )
    assert.equal(refused.stderr.match(/to do:/g)?.length, 1)
    assert.doesNotMatch(refused.stderr, /API_REQUEST_REFUSED|about:blank/)

    const shown = await hooktrail(folder, ['jobs', 'list'], env)
    assert.match(shown.stdout, /^ID {3}TYPE {2}STATUS .*\ne\.h {2}paid {2}dead .*\n$/)
    assert.match(shown.stderr, /--cursor e\.h/)
    const json = await hooktrail(folder, ['jobs', 'list', '--json'], env)
    assert.deepEqual(JSON.parse(json.stdout), list)
  } finally {
    await app.close()
    await rm(folder, { recursive: true })
  }
})

test('an API that does not answer is told with the reason of the socket, and rates are read as in the configuration', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hooktrail-cli-'))
  const at = ['--url', `http://127.0.0.1:${await freePort()}`, '--token', 't']
  try {
    const args = ['replay', '--handler', 'app', '--from-offset', '0', '--rate', '30/m', ...at]
    const { code, stderr } = await hooktrail(folder, args)
    assert.equal(code, 69, stderr)
    assert.match(stderr, /\(API_UNREACHABLE\)[^]*cause: .*ECONNREFUSED/)
    const misspelt = await hooktrail(folder, ['events', 'list', '--url', 'localhost', '--token', 't'])
    assert.equal(misspelt.code, 69)
    assert.match(misspelt.stderr, /to do: name it as http:/)
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('a command that only asks the API needs no variable of the configuration but those of address and token', async () => {
  const app = createServer(config)
  app.get('/api/jobs', () => ({ items: [], next: null }))
  const port = Number(new URL(await listen(app, config)).port)
  const folder = await mkdtemp(join(tmpdir(), 'hooktrail-cli-'))
  const file = join(folder, 'hooktrail.yaml')
  const write = (token: string): Promise<void> =>
    writeFile(
      file,
      `version: 1
digest_key: \${SECRET_A}
server: { host: 127.0.0.1, port: ${port}, max_body: \${SECRET_B} }
api: { auth_token: ${token}, metrics_auth_token: \${SECRET_C} }
sources: { shop: { verify: { scheme: github, secret: \${SECRET_D} } } }
handlers: { billing: \${SECRET_E} }
`,
    )
  try {
    await write('a-token-of-sixteen')
    const listed = await hooktrail(folder, ['jobs', 'list', '--json'])
    assert.deepEqual([listed.code, listed.stderr], [0, ''])

    await write('\${API_TOKEN}')
    const refused = await hooktrail(folder, ['jobs', 'list'])
    assert.equal(refused.code, 78)
    assert.match(
      refused.stderr,
      /hooktrail\.yaml:4:\d+ api\.auth_token the environment has no variable API_TOKEN/,
    )
    assert.doesNotMatch(refused.stderr, /SECRET_/)
    assert.equal((await hooktrail(folder, ['jobs', 'list', '--token', 't'])).code, 0)
  } finally {
    await app.close()
    await rm(folder, { recursive: true })
  }
})

test('without a token every place that was looked at is named', async () => {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'hooktrail-cli-')))
  try {
    const { code, stderr } = await hooktrail(folder, ['events', 'list'])
    assert.equal(code, 64)
    for (const place of [
      '--token',
      'HOOKTRAIL_TOKEN (not set)',
      `${join(folder, 'hooktrail.yaml')} (no such file)`,
      `${join(folder, '.hooktrail', 'token')} (no such file)`,
    ])
      assert.ok(stderr.includes(place), stderr)
    assert.match(stderr, /to do: run the command in the folder of hooktrail start/)
  } finally {
    await rm(folder, { recursive: true })
  }
})
