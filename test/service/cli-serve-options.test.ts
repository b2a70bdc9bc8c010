/** `hooktrail dispatcher --pool` and `--handler` as a process: what cannot be served ends it before it touches anything. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'

const MAIN = new URL('../../cli/main.ts', import.meta.url).pathname
const folder = mkdtempSync(join(tmpdir(), 'serve-options-'))
const home = join(folder, 'home')

writeFileSync(
  join(folder, 'hooktrail.yaml'),
  `version: 1
sources: { a: { verify: none } }
handlers:
  app: { source: a, url: https://x.org/ }
  billing: { source: a, url: https://x.org/, pool: heavy }
`,
)

after(() => {
  rmSync(folder, { recursive: true })
})

function dispatcher(...args: string[]): { status: number | null; err: string } {
  const { status, stderr } = spawnSync(process.execPath, [MAIN, 'dispatcher', ...args], {
    ...{ cwd: folder, encoding: 'utf8', env: { ...process.env, HOOKTRAIL_HOME: home } },
  })
  return { status, err: stderr }
}

test('a pool or handler that nothing has is exit 64 with the nearest name, and nothing was started', () => {
  for (const [args, code, nearest] of [
    [['--pool', 'hevy'], 'DISPATCHER_UNKNOWN_POOL', 'heavy'],
    [['--pool', 'heavy', '--pool', 'defalt'], 'DISPATCHER_UNKNOWN_POOL', 'default'],
    [['--pool', 'heavy,defalt'], 'DISPATCHER_UNKNOWN_POOL', 'default'],
    [['--pool', 'heavy', '--handler', 'biling'], 'DISPATCHER_UNKNOWN_HANDLER', 'billing'],
  ] as const) {
    const { status, err } = dispatcher(...args)
    assert.equal(status, 64, err)
    assert.match(err, new RegExp(`\\(${code}\\)\\n {2}name: \\w+\\n {2}did_you_mean: ${nearest}\\n`))
  }
  assert.equal(existsSync(home), false)
})

test('an empty name is refused, and only the dispatcher knows the options', () => {
  assert.match(dispatcher('--pool', 'heavy,').err, /a name is missing/)
  const { status } = spawnSync(process.execPath, [MAIN, 'start', '--pool', 'heavy'], { cwd: folder })
  assert.equal(status, 64)
})

test('the help shows what is served by which options', () => {
  const { stdout } = spawnSync(process.execPath, [MAIN, 'dispatcher', '--help'], { encoding: 'utf8' })
  assert.match(stdout, /hooktrail dispatcher --pool default,heavy +both pools/)
})
