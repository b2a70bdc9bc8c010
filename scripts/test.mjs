// Runs the tests on the project's own Node and closes with the counts; the global setup prints what cannot run here.
// `--long` runs the same files at full size; further arguments are files or options for the runner.
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const given = process.argv.slice(2)
const long = given.includes('--long')
const rest = given.filter((argument) => argument !== '--long')
const folders = ['unit', 'contract', 'service', 'e2e', 'fault']
const files = folders.flatMap((folder) =>
  readdirSync(join(root, 'test', folder))
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join('test', folder, name)),
)
const named = rest.some((argument) => argument.endsWith('.test.ts'))
const cache = join(root, 'node_modules', '.cache', 'hooktrail')
const RUN_MS_MAX = (long ? 12 * 60 : 40) * 60_000
const options = [
  '--test',
  '--test-concurrency=2',
  `--test-timeout=${long ? 3_600_000 : 300_000}`,
  '--test-global-setup=test/support/global-setup.ts',
  '--test-reporter=spec',
  '--test-reporter-destination=stdout',
]

const child = spawn(
  join(root, 'node_modules', '.bin', 'node'),
  [...options, ...rest, ...(named ? [] : files)],
  {
    cwd: root,
    stdio: 'inherit',
    // As in bin/hooktrail: hundreds of processes load the same files.
    env: { NODE_COMPILE_CACHE: cache, ...process.env, ...(long ? { HOOKTRAIL_TEST_LONG: '1' } : {}) },
  },
)
// A file that never ends must not hide what the others found: on SIGINT the runner prints it, and what still ran.
const deadline = setTimeout(() => {
  console.error(`the tests did not end within ${RUN_MS_MAX / 60_000} minutes`)
  child.kill('SIGINT')
}, RUN_MS_MAX)
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
child.on('exit', (code) => {
  clearTimeout(deadline)
  process.exitCode = code === null ? 1 : code
})
