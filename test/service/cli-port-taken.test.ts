/** A start whose port is taken says so before it starts a Postgres; one whose home is taken says that first. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { lockHome } from '../../adapters/postgres/own-postgres-lock.ts'
import { HOOKTRAIL } from '../support/installation.ts'

async function start(folder: string): Promise<{ code: number | null; stderr: string }> {
  const env = { ...process.env, HOOKTRAIL_HOME: join(folder, 'home'), HOOKTRAIL_LOG: 'warn' }
  const child = spawn(HOOKTRAIL, ['start'], { cwd: folder, env, stdio: ['ignore', 'ignore', 'pipe'] })
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  await once(child, 'close')
  return { code: child.exitCode, stderr }
}

test('a taken port is told before a Postgres is started, a taken home before the port', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hooktrail-port-'))
  const home = join(folder, 'home')
  await mkdir(home, { mode: 0o700 })
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const address = taken.address()
  assert.ok(typeof address === 'object' && address !== null)
  await writeFile(
    join(folder, 'hooktrail.yaml'),
    `version: 1\nserver: { host: 127.0.0.1, port: ${address.port} }\nsources: { a: { verify: none } }\n`,
  )
  try {
    const refused = await start(folder)
    assert.equal(refused.code, 69, refused.stderr)
    assert.match(refused.stderr, new RegExp(`PORT_IN_USE[\\s\\S]*port: ${address.port}`))
    assert.ok(!existsSync(join(home, 'postgres')))

    await using lock = await lockHome(home)
    const second = await start(folder)
    assert.match(second.stderr, /STORE_HOME_LOCKED/, lock.path)
  } finally {
    taken.close()
    await rm(folder, { recursive: true })
  }
})
