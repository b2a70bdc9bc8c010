/** CPU time and memory of other processes, read from /proc (Linux). */
import { readdirSync, readFileSync } from 'node:fs'

/** USER_HZ: fixed at 100 on every Linux that Node supports. */
const TICKS_PER_SECOND = 100

export interface Usage {
  readonly cpuMs: number
  readonly residentBytes: number
}

/** One process without its children. */
export function usageOf(pid: number): Usage {
  return usageIn(statOf(pid)[1])
}

function usageIn(fields: readonly string[]): Usage {
  const cpuTicks = Number(fields[11]) + Number(fields[12])
  return { cpuMs: (cpuTicks * 1000) / TICKS_PER_SECOND, residentBytes: Number(fields[21]) * 4096 }
}

/** By command, the processes of which `parent` is the parent, each with its own children. */
export function usageOfChildren(parent: number, commands: ReadonlySet<string>): ReadonlyMap<string, Usage> {
  const found = new Map<string, Usage>()
  for (const pid of processIds()) {
    const [command, fields] = running(pid) ?? ['', []]
    if (!commands.has(command) || fields[1] !== String(parent)) continue
    const usage = usageOfTree(pid)
    const { cpuMs, residentBytes } = found.get(command) ?? { cpuMs: 0, residentBytes: 0 }
    found.set(command, {
      cpuMs: cpuMs + usage.cpuMs,
      residentBytes: residentBytes + usage.residentBytes,
    })
  }
  return found
}

/** A process with all its children, also those that have ended and been waited for. */
export function usageOfTree(pid: number): Usage {
  const [, own] = statOf(pid)
  const ended = ((Number(own[13]) + Number(own[14])) * 1000) / TICKS_PER_SECOND
  const children = processIds().flatMap((child) => {
    const [, fields] = running(child) ?? ['', []]
    return fields[1] === String(pid) ? [usageIn(fields)] : []
  })
  const all = [usageOf(pid), ...children]
  return {
    cpuMs: ended + all.reduce((sum, { cpuMs }) => sum + cpuMs, 0),
    residentBytes: all.reduce((sum, { residentBytes }) => sum + residentBytes, 0),
  }
}

function processIds(): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
}

/** Null when it ended since it was listed. */
function running(pid: number): ReturnType<typeof statOf> | null {
  try {
    return statOf(pid)
  } catch {
    return null
  }
}

/**
 * Its command, and the fields of /proc/<pid>/stat behind that: 0 = state, 1 = parent, 11 = utime, 12 = stime, 13 and 14
 * those of children that ended, 21 = rss pages.
 */
function statOf(pid: number): readonly [command: string, fields: readonly string[]] {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const end = text.lastIndexOf(')')
  return [text.slice(text.indexOf('(') + 1, end), text.slice(end + 2).split(' ')]
}
