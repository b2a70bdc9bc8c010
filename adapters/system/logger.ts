/**
 * The process's log on stderr, at the level of HOOKTRAIL_LOG: JSON lines, or lines for people on a terminal or with
 * HOOKTRAIL_LOG_FORMAT=pretty.
 */
import { isatty } from 'node:tty'
import { destination, pino, stdSerializers, stdTimeFunctions, type Logger as PinoLogger } from 'pino'
import { prettyLine } from './pretty-line.ts'

const STDERR = 2
/** Written at once from whichever thread: process.stderr of a thread goes through the main thread's event loop. */
const stderr = destination({ dest: STDERR, sync: true })

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
  return pino(options, isPretty() ? { write: writePretty } : stderr)
}

function isPretty(): boolean {
  const format = process.env['HOOKTRAIL_LOG_FORMAT']
  return format === 'pretty' || (format !== 'json' && isatty(STDERR))
}

function writePretty(line: string): void {
  stderr.write(prettyLine(line))
}
