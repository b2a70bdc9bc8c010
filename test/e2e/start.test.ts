/**
 * The first start of somebody who has nothing but the program: no configuration. Goal: what is printed works when it is
 * copied, the event is seen to arrive, and a signal leaves nothing behind. The file that is written has the ports that
 * README promises; they may be taken on this machine, so that the visits have others. Twice: the second one finds what
 * the first one left.
 */
import assert from 'node:assert/strict'
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { endWithTests } from '../support/child-processes.ts'
import { eventually, HOOKTRAIL } from '../support/installation.ts'
import { freePorts } from '../support/services/local-process.ts'

const run = promisify(execFile)
const READY_MS_MAX = 60_000

const folder = mkdtempSync(join(tmpdir(), 'hooktrail-first-'))
const file = join(folder, 'hooktrail.yaml')
after(() => {
  rmSync(folder, { recursive: true, force: true })
})

interface Visit {
  readonly printed: string
  readonly eventId: string
  readonly code: number | null
}

interface Start {
  readonly child: ChildProcess
  readonly exited: Promise<unknown>
  readonly printed: () => string
}

function start(): Start {
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    HOOKTRAIL_LOG: 'warn',
    HOOKTRAIL_LOG_FORMAT: 'pretty',
    NO_COLOR: '1',
  }
  delete env['HOOKTRAIL_HOME']
  const child = spawn(HOOKTRAIL, ['start'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
    env,
    detached: true,
  })
  endWithTests(child)
  let printed = ''
  child.stderr.on('data', (chunk: Buffer) => {
    printed += chunk.toString()
  })
  return { child, exited: once(child, 'exit'), printed: () => printed }
}

/** The configuration that a start without one writes. It goes on with default ports, and is stopped before that matters. */
async function firstConfig(): Promise<string> {
  const { child, exited, printed } = start()
  await eventually('it has written its configuration', READY_MS_MAX, () =>
    Promise.resolve(printed().includes('Wrote hooktrail.yaml') || child.exitCode !== null ? true : null),
  )
  child.kill('SIGTERM')
  await exited
  assert.match(printed(), /^Wrote hooktrail\.yaml/)
  return readFileSync(file, 'utf8')
}

/** Starts, copies the curl, waits for the line of the delivery, and stops with `signal`. */
async function visit(signal: NodeJS.Signals): Promise<Visit> {
  const { child, exited, printed } = start()
  const welcome = await eventually('it says how to go on', READY_MS_MAX, () => {
    assert.equal(child.exitCode, null, printed())
    return Promise.resolve(printed().includes('Ctrl-C') ? printed() : null)
  })
  const command = /^ {2}curl .*\\\n.*\\\n.*$/m.exec(welcome)?.[0]
  assert.ok(command !== undefined, welcome)
  const { stdout } = await run('sh', ['-c', command])
  const answer = JSON.parse(stdout) as { event_id: string; duplicate: boolean }
  assert.equal(answer.duplicate, false)
  await eventually('the delivery is seen', 20_000, () =>
    Promise.resolve(printed().includes(`echo: delivered ${answer.event_id}.echo`) ? true : null),
  )
  child.kill(signal)
  await exited
  return { printed: welcome, eventId: answer.event_id, code: child.exitCode }
}

function postmasterPid(): number {
  return Number(readFileSync(join(folder, '.hooktrail', 'postgres', 'postmaster.pid'), 'utf8').split('\n')[0])
}

test('what a first start prints is delivered when it is copied, and a signal leaves nothing running', async () => {
  const config = await firstConfig()
  assert.match(config, /server: \{ host: 127\.0\.0\.1, port: 8888 \}/)
  assert.match(config, /url: "http:\/\/127\.0\.0\.1:8889\/hooktrail-echo"/)
  assert.equal(statSync(file).mode & 0o077, 0)
  const [port = 0, echoPort = 0] = await freePorts(2)
  writeFileSync(file, config.replace('8888', String(port)).replace('8889', String(echoPort)))

  const first = await visit('SIGTERM')
  assert.equal(first.code, 0)
  assert.equal(statSync(join(folder, '.hooktrail')).mode & 0o077, 0)
  assert.ok(!existsSync(join(folder, '.hooktrail', 'postgres', 'postmaster.pid')))

  const second = await visit('SIGINT')
  assert.equal(second.code, 0)
  assert.notEqual(second.eventId, first.eventId)
  const welcome = (text: string): string => text.slice(text.indexOf('\nhooktrail listens'))
  assert.equal(welcome(second.printed), welcome(first.printed))
  assert.throws(postmasterPid, { code: 'ENOENT' })
})
