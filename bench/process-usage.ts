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
  const fields = statOf(pid)
  const cpuTicks = Number(fields[11]) + Number(fields[12])
  return { cpuMs: (cpuTicks * 1000) / TICKS_PER_SECOND, residentBytes: Number(fields[21]) * 4096 }
}

/** A process with all its children, also those that have ended and been waited for. */
export function usageOfTree(pid: number): Usage {
  const own = statOf(pid)
  const ended = ((Number(own[13]) + Number(own[14])) * 1000) / TICKS_PER_SECOND
  const children = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        return statOf(Number(name))[1] === String(pid) ? [usageOf(Number(name))] : []
      } catch {
        return [] // It ended between the listing and the read.
      }
    })
  const all = [usageOf(pid), ...children]
  return {
    cpuMs: ended + all.reduce((sum, { cpuMs }) => sum + cpuMs, 0),
    residentBytes: all.reduce((sum, { residentBytes }) => sum + residentBytes, 0),
  }
}

/** Fields of /proc/<pid>/stat behind the command name: 0 = state, 1 = parent, 11 = utime, 12 = stime, 21 = rss pages. */
function statOf(pid: number): readonly string[] {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}
