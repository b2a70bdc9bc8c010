// Installs what the lock file names when node_modules is missing or older than it. Runs on any Node since 14, as
// it comes before the project's own Node 24 is there. Says what it does; does nothing when all is in place.
import { spawnSync } from 'node:child_process'
import { existsSync, statSync, utimesSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const marker = join(root, 'node_modules', '.package-lock.json')
const lock = join(root, 'package-lock.json')
const node = join(root, 'node_modules', '.bin', 'node')

function current() {
  return existsSync(marker) && existsSync(node) && statSync(marker).mtimeMs >= statSync(lock).mtimeMs
}

if (!current()) {
  console.error('hooktrail: installing the pinned packages (npm ci, once; 20 s to some minutes) …')
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  })
  if (status !== 0) {
    console.error('hooktrail: npm ci failed. Nothing was started. Is the npm registry reachable? Run: npm ci')
    process.exit(status === null ? 1 : status)
  }
  if (!existsSync(node)) {
    console.error('hooktrail: the package "node" did not install its binary. Run: npm rebuild node')
    process.exit(1)
  }
  const now = new Date()
  utimesSync(marker, now, now)
  console.error('hooktrail: installed.')
}
