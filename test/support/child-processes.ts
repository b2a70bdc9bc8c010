/**
 * Programs that a test file started and that must not outlive it: one that a failed test left would hold the file's
 * pipes open, and the whole run with them.
 */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { after } from 'node:test'

const STOP_MS_MAX = 15_000
const children = new Set<ChildProcess>()

/** @param child started with `detached`: the leader of a process group of its own */
export function endWithTests(child: ChildProcess): void {
  if (child.pid === undefined) return
  children.add(child)
  child.once('exit', () => children.delete(child))
}

after(async () => {
  await Promise.all([...children].map(end))
})

/** First a signal that lets it stop its own Postgres, which is in no group of ours. */
async function end(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const deadline = setTimeout(() => process.kill(-(child.pid ?? 0), 'SIGKILL'), STOP_MS_MAX)
  await exited
  clearTimeout(deadline)
}
