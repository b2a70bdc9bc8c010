/**
 * One hooktrail per folder. The lock is the highest numbered file `lock.<n>`; its holder is the process named in it,
 * by pid and start time, so that what kill -9 left behind is recognised. Taking over links the next number, which
 * only one of several racers can do; nobody ever removes the highest one, so a slow racer cannot undo a winner.
 */
import { readFileSync } from 'node:fs'
import { link, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import { errnoOf } from '../system/errno.ts'

const RELEASED = 'released\n'
const ATTEMPTS_MAX = 20

let lockCount = 0

export interface HomeLock extends AsyncDisposable {
  readonly path: string
}

/** @throws STORE_HOME_LOCKED */
export async function lockHome(home: string): Promise<HomeLock> {
  const own = join(home, `lock.tmp-${process.pid}-${++lockCount}`)
  await writeFile(own, holderText(process.pid), { mode: 0o600 })
  try {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const path = await tryLock(home, own)
      if (path !== null) return { path, [Symbol.asyncDispose]: () => writeFile(path, RELEASED) }
    }
    throw new HooktrailError('STORE_HOME_LOCKED', { home, reason: 'too many processes start at once' })
  } finally {
    await rm(own, { force: true })
  }
}

async function tryLock(home: string, own: string): Promise<string | null> {
  const highest = (await lockNumbers(home)).at(-1) ?? 0
  if (highest > 0) await refuseIfHeld(home, highest)
  const path = join(home, `lock.${highest + 1}`)
  try {
    await link(own, path)
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return null
    throw error
  }
  const numbers = await lockNumbers(home)
  if (numbers.at(-1) !== highest + 1) {
    await rm(path)
    return null
  }
  for (const number of numbers.slice(0, -1)) await rm(join(home, `lock.${number}`), { force: true })
  return path
}

async function lockNumbers(home: string): Promise<readonly number[]> {
  return (await readdir(home))
    .flatMap((name) => /^lock\.(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b)
}

async function refuseIfHeld(home: string, number: number): Promise<void> {
  const text = await readFile(join(home, `lock.${number}`), 'utf8').catch(() => RELEASED)
  const pid = Number(text.split(' ')[0])
  if (Number.isSafeInteger(pid) && pid > 0 && text === holderText(pid))
    throw new HooktrailError('STORE_HOME_LOCKED', { home, pid })
}

function holderText(pid: number): string {
  return `${pid} ${startTimeOf(pid) ?? 'gone'}\n`
}

/** Start time of a process in its system's own unit, null when there is no such process. */
export function startTimeOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? null : (fields[19] ?? null)
  } catch {
    if (process.platform === 'linux') return null
  }
  const { status, stdout } = spawnSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' })
  return status === 0 && stdout.trim() !== '' ? stdout.trim() : null
}
