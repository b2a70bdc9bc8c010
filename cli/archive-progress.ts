/** One line of progress with rate and remaining time, on a terminal only, at most a few times a second. */
import type { VerifyProgress } from '../core/archive/verify/verify-context.ts'
import type { Clock } from '../core/clock.ts'

const REDRAW_MS = 250

export interface ProgressLine {
  readonly show: (progress: VerifyProgress) => void
  readonly end: () => void
}

export function progressLine(clock: Clock, out: NodeJS.WriteStream): ProgressLine {
  const startedMs = clock.monotonic()
  let drawnMs = startedMs
  return {
    show: (progress) => {
      const nowMs = clock.monotonic()
      if (!out.isTTY || nowMs - drawnMs < REDRAW_MS) return
      drawnMs = nowMs
      out.write(`\r\u001b[K${textOf(progress, nowMs - startedMs)}`)
    },
    end: () => {
      if (out.isTTY) out.write('\r\u001b[K')
    },
  }
}

function textOf({ bytes, bytesTotal }: VerifyProgress, elapsedMs: number): string {
  const rate = Number(bytes) / Math.max(elapsedMs, 1) / 1000
  const done = `verified ${(Number(bytes) / 1e6).toFixed(1)} MB, ${rate.toFixed(1)} MB/s`
  if (bytesTotal === null || rate === 0) return done
  const leftSeconds = Math.max(Number(bytesTotal - bytes), 0) / 1e6 / rate
  return `${done}, ${leftSeconds.toFixed(0)} s left`
}
