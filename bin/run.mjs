// What `npm start` runs. Any Node since 14 can read it: it starts bin/hooktrail, which uses the pinned one, hands on
// signals and ends with its exit code.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const program = join(dirname(fileURLToPath(import.meta.url)), 'hooktrail')
const child = spawn(program, process.argv.slice(2), { stdio: 'inherit' })
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.on('error', (error) => {
  console.error(`hooktrail: ${program} could not be run: ${error.message}`)
  process.exitCode = 70
})
child.on('exit', (code, signal) => {
  process.exitCode = code === null ? 128 + constants.signals[signal] : code
})
