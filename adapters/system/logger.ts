/** The process's log: JSON lines on stderr, at the level of HOOKTRAIL_LOG. */
import { pino, stdTimeFunctions, type Logger as PinoLogger } from 'pino'

const LEVELS = ['debug', 'info', 'warn', 'error', 'silent']

export function createLogger(level = process.env['HOOKTRAIL_LOG'] ?? 'info'): PinoLogger {
  return pino(
    {
      level: LEVELS.includes(level) ? level : 'info',
      base: null,
      messageKey: 'message',
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    process.stderr,
  )
}
