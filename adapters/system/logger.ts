/**
 * The process's log on stderr, at the level of HOOKTRAIL_LOG: JSON lines, or lines for people on a terminal or with
 * HOOKTRAIL_LOG_FORMAT=pretty.
 */
import { pino, stdSerializers, stdTimeFunctions, type Logger as PinoLogger } from 'pino'
import { prettyLine } from './pretty-line.ts'

const LEVELS = ['debug', 'info', 'warn', 'error', 'silent']

export function createLogger(level = process.env['HOOKTRAIL_LOG'] ?? 'info'): PinoLogger {
  const options = {
    level: LEVELS.includes(level) ? level : 'info',
    base: null,
    messageKey: 'message',
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { error: stdSerializers.err, err: stdSerializers.err },
  }
  return pino(options, isPretty() ? { write: writePretty } : process.stderr)
}

function isPretty(): boolean {
  const format = process.env['HOOKTRAIL_LOG_FORMAT']
  return format === 'pretty' || (format !== 'json' && process.stderr.isTTY)
}

function writePretty(line: string): void {
  process.stderr.write(prettyLine(line))
}
