/**
 * The first start of somebody who has nothing but the program: no configuration, default ports. Goal: what is printed
 * works when it is copied, the event is seen to arrive, and a signal leaves nothing behind. Twice: the second start
 * finds what the first one wrote.
 */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { eventually, HOOKTRAIL } from '../support/installation.ts'

const run = promisify(execFile)
const READY_MS_MAX = 60_000

const folder = mkdtempSync(join(tmpdir(), 'hooktrail-first-'))
after(() => {
  rmSync(folder, { recursive: true, force: true })
})

interface Visit {
  readonly printed: string
  readonly eventId: string
  readonly code: number | null
}

/** Starts, copies the curl, waits for the line of the delivery, and stops with `signal`. */
async function visit(signal: NodeJS.Signals): Promise<Visit> {
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    HOOKTRAIL_LOG: 'warn',
    HOOKTRAIL_LOG_FORMAT: 'pretty',
    NO_COLOR: '1',
  }
  delete env['HOOKTRAIL_HOME']
  const child = spawn(HOOKTRAIL, ['start'], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'], env })
  let printed = ''
  child.stderr.on('data', (chunk: Buffer) => {
    printed += chunk.toString()
  })
  const exited = once(child, 'exit')
  try {
    const welcome = await eventually('it says how to go on', READY_MS_MAX, () => {
      assert.equal(child.exitCode, null, printed)
      return Promise.resolve(printed.includes('Ctrl-C') ? printed : null)
    })
    const command = /^ {2}curl .*\\\n.*\\\n.*$/m.exec(welcome)?.[0]
    assert.ok(command !== undefined, welcome)
    const { stdout } = await run('sh', ['-c', command])
    const answer = JSON.parse(stdout) as { event_id: string; duplicate: boolean }
    assert.equal(answer.duplicate, false)
    await eventually('the delivery is seen', 20_000, () =>
      Promise.resolve(printed.includes(`echo: delivered ${answer.event_id}.echo`) ? true : null),
    )
    child.kill(signal)
    await exited
    return { printed: welcome, eventId: answer.event_id, code: child.exitCode }
  } finally {
    child.kill('SIGKILL')
  }
}

function postmasterPid(): number {
  return Number(readFileSync(join(folder, '.hooktrail', 'postgres', 'postmaster.pid'), 'utf8').split('\n')[0])
}

test('what the first start prints is delivered when it is copied, and a signal leaves nothing running', async () => {
  const first = await visit('SIGTERM')
  assert.equal(first.code, 0)
  assert.match(first.printed, /^Wrote hooktrail\.yaml/)
  assert.equal(statSync(join(folder, 'hooktrail.yaml')).mode & 0o077, 0)
  assert.equal(statSync(join(folder, '.hooktrail')).mode & 0o077, 0)
  assert.ok(!existsSync(join(folder, '.hooktrail', 'postgres', 'postmaster.pid')))

  const second = await visit('SIGINT')
  assert.equal(second.code, 0)
  assert.notEqual(second.eventId, first.eventId)
  const welcome = (text: string): string => text.slice(text.indexOf('\nhooktrail listens'))
  assert.equal(welcome(second.printed), welcome(first.printed))
  assert.throws(postmasterPid, { code: 'ENOENT' })
})
