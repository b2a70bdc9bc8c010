/**
 * Starts that go wrong. Somebody else's database that is down is waited for, and ingress answers 503 itself meanwhile;
 * what cannot be waited for ends the start with four parts and leaves no process behind.
 */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { eventually, freePort, HOOKTRAIL, runCli } from '../support/installation.ts'
import { createTestDatabase } from '../support/postgres.ts'
import { startRedis, testOnRedis } from '../support/services/redis.ts'

const folder = mkdtempSync(join(tmpdir(), 'hooktrail-outage-'))
const children: ChildProcess[] = []
after(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

const PARTS = `
sources: { open: { verify: none } }
handlers: { one: { source: open, url: 'http://127.0.0.1:9/', allow_private: true } }
`

function start(kind: string, yaml: string, home: string): { child: ChildProcess; output: () => string } {
  const file = join(folder, `${home}.yaml`)
  writeFileSync(file, `version: 1\n${yaml}${PARTS}`)
  const env = { ...process.env, HOOKTRAIL_HOME: join(folder, home), HOOKTRAIL_LOG: 'debug' }
  const child = spawn(HOOKTRAIL, [kind, '-c', file], { stdio: ['ignore', 'ignore', 'pipe'], env })
  children.push(child)
  let output = ''
  child.stderr.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  return { child, output: () => output }
}

/** A TCP door to a Postgres on a unix socket: while it is shut, connections are refused. */
async function openDoor(port: number, databaseUrl: string): Promise<Server> {
  const folderOfSocket = new URL(databaseUrl.replace('@/', '@localhost/')).searchParams.get('host')
  const door = createServer((outside: Socket) => {
    const inside = connect(join(folderOfSocket ?? '', '.s.PGSQL.5432'))
    outside.pipe(inside).pipe(outside)
    for (const socket of [outside, inside]) {
      socket.on('error', () => {
        outside.destroy()
        inside.destroy()
      })
    }
  })
  door.listen(port, '127.0.0.1')
  await once(door, 'listening')
  return door
}

async function statusOf(url: string, method = 'GET'): Promise<number | null> {
  const body = method === 'POST' ? { body: '{}' } : {}
  return fetch(url, { method, ...body }).then(
    (response) => response.status,
    () => null,
  )
}

test('a database that comes later is waited for, and until then ingress answers 503 itself', async () => {
  await using database = await createTestDatabase()
  const [hooks, api, doorPort] = [await freePort(), await freePort(), await freePort()]
  const name = /\/([^/?]+)\?/.exec(database.url)?.[1] ?? ''
  const { child, output } = start(
    'start',
    `digest_key: '${'ab'.repeat(32)}'
server: { host: 127.0.0.1, port: ${hooks} }
api: { listen: '127.0.0.1:${api}' }
database: { url: 'postgresql://hooktrail@127.0.0.1:${doorPort}/${name}' }`,
    'later',
  )
  const exited = once(child, 'exit')
  const apiUrl = `http://127.0.0.1:${api}`
  await eventually('it lives', 20_000, async () =>
    (await statusOf(`${apiUrl}/health/live`)) === 200 ? true : null,
  )
  assert.equal(await statusOf(`${apiUrl}/health/ready`), 503)
  assert.equal(await statusOf(`http://127.0.0.1:${hooks}/webhooks/open`, 'POST'), 503)
  const health = await fetch(`${apiUrl}/health`).then((response) => response.text())
  assert.match(health, /dispatcher waits: the database: .*ECONNREFUSED/)
  await eventually('ready without a database', 20_000, async () =>
    (await statusOf(`${apiUrl}/health/ready`)) === 200 ? true : null,
  )
  assert.equal(await statusOf(`http://127.0.0.1:${hooks}/health`), 404)
  assert.equal(await statusOf(`${apiUrl}/webhooks/open`, 'POST'), 404)

  await using door = await openDoor(doorPort, database.url)
  await eventually('an event is acknowledged', 30_000, async () =>
    (await statusOf(`http://127.0.0.1:${hooks}/webhooks/open`, 'POST')) === 200 ? true : null,
  )
  child.kill('SIGTERM')
  await exited
  assert.equal(child.exitCode, 0, output())
  assert.ok(door.listening)
})

test('a signal while it waits for the database ends the process', async () => {
  const port = await freePort()
  const { child, output } = start(
    'dispatcher',
    `digest_key: '${'ab'.repeat(32)}'
server: { host: 127.0.0.1, port: ${port} }
database: { url: 'postgresql://nobody@127.0.0.1:9/none' }`,
    'waiting',
  )
  const exited = once(child, 'exit')
  await eventually('it waits', 20_000, () =>
    Promise.resolve(output().includes('waiting for the database') ? true : null),
  )
  assert.equal(await statusOf(`http://127.0.0.1:${port}/health/ready`), 503)
  child.kill('SIGTERM')
  await exited
  assert.equal(child.exitCode, 0, output())
})

test('a start that fails late names the reason and leaves no Postgres', async () => {
  const home = join(folder, 'late')
  mkdirSync(join(home, 'keys'), { recursive: true, mode: 0o700 })
  writeFileSync(join(home, 'keys', 'archive.key'), 'not a key', { mode: 0o600 })
  const file = join(folder, 'late.yaml')
  writeFileSync(file, `version: 1\nserver: { host: 127.0.0.1, port: ${await freePort()} }${PARTS}`)
  const { code, stderr } = await runCli(['start', '-c', file], { ...process.env, HOOKTRAIL_HOME: home })
  assert.equal(code, 66)
  assert.match(stderr, /ARCHIVE_KEY_FILE_INVALID[\s\S]*for events:[\s\S]*to do:[\s\S]*read on:/)
  assert.ok(!existsSync(join(home, 'postgres', 'postmaster.pid')))
})

test('a signal in the midst of a start ends it and leaves no Postgres', async () => {
  const { child, output } = start('start', `server: { host: 127.0.0.1, port: ${await freePort()} }`, 'early')
  const exited = once(child, 'exit')
  await eventually('its folder is there', 20_000, () =>
    Promise.resolve(existsSync(join(folder, 'early')) ? true : null),
  )
  child.kill('SIGINT')
  await exited
  assert.equal(child.exitCode, 0, output())
  assert.ok(!existsSync(join(folder, 'early', 'postgres', 'postmaster.pid')))
})

test('a process that runs alone does not start without database.url', async () => {
  const home = join(folder, 'alone')
  const file = join(folder, 'alone.yaml')
  writeFileSync(file, `version: 1\nserver: { host: 127.0.0.1, port: ${await freePort()} }${PARTS}`)
  const { code, stderr } = await runCli(['ingress', '-c', file], { ...process.env, HOOKTRAIL_HOME: home })
  assert.equal(code, 78)
  assert.match(stderr, /DATABASE_URL_MISSING[\s\S]*process: ingress[\s\S]*for events:[\s\S]*read on:/)
  assert.ok(!existsSync(home))
})

testOnRedis(
  'what is refused behind the start ends the process with four parts and their exit code',
  () => startRedis({ args: ['--maxmemory-policy', 'allkeys-lru'] }),
  async (redis) => {
    await using database = await createTestDatabase()
    const { child, output } = start(
      'start',
      `digest_key: '${'ab'.repeat(32)}'
server: { host: 127.0.0.1, port: ${await freePort()} }
queue: { driver: redis, url: '${redis.url}' }
database: { url: '${database.url}' }`,
      'evicts',
    )
    await once(child, 'exit')
    assert.equal(child.exitCode, 69, output())
    assert.match(
      output(),
      /\nhooktrail: Redis may evict keys[\s\S]*for events:[\s\S]*to do:[\s\S]*read on:[^\n]*\n$/,
    )
  },
)
