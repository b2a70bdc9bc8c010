/** One of the processes by itself (`hooktrail ingress`, `archiver` …) on a given database, as in a larger installation. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { endWithTests } from './child-processes.ts'
import { eventually, freePort, HOOKTRAIL } from './installation.ts'

export interface SingleProcess {
  readonly child: ChildProcess
  readonly url: string
  /** What it has logged so far. */
  readonly output: () => string
  readonly exited: Promise<unknown>
}

export interface SingleProcessOptions {
  readonly kind: string
  readonly flags?: readonly string[]
  /** Several that start at once must not find the same one free. */
  readonly port?: number
  /** For its configuration file. */
  readonly folder: string
  readonly home: string
  /** YAML below `version` and `server`, which are written here. */
  readonly config: string
}

/** The caller ends it; what is left when the file's tests are done is killed. */
export async function startSingleProcess(options: SingleProcessOptions): Promise<SingleProcess> {
  const { kind, flags = [], folder, home, config } = options
  const port = options.port ?? (await freePort())
  const file = join(folder, `${kind}-${port}.yaml`)
  writeFileSync(file, `version: 1\nserver: { host: 127.0.0.1, port: ${port} }\n${config}`)
  const child = spawn(HOOKTRAIL, [kind, ...flags, '-c', file], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, HOOKTRAIL_HOME: home, HOOKTRAIL_LOG: 'warn' },
    detached: true,
  })
  endWithTests(child)
  let talk = ''
  child.stderr.on('data', (chunk: Buffer) => {
    talk += chunk.toString()
  })
  const exited = once(child, 'exit')
  const url = `http://127.0.0.1:${port}`
  await eventually(`${kind} is ready`, 60_000, async () => {
    assert.equal(child.exitCode, null, talk)
    return fetch(`${url}/health/ready`).then(
      ({ ok }) => (ok ? true : null),
      () => null,
    )
  })
  return { child, url, output: () => talk, exited }
}
