/** A logger that keeps its lines, for tests of what an operator reads. */
import type { Logger } from '../../core/log.ts'

export type LogLine = readonly [level: string, fields: Record<string, unknown>, message: string]

export function recordedLogger(): { readonly logger: Logger; readonly lines: readonly LogLine[] } {
  const lines: LogLine[] = []
  const at =
    (level: string) =>
    (fields: Record<string, unknown>, message: string): void => {
      lines.push([level, fields, message])
    }
  return { lines, logger: { debug: () => undefined, info: at('info'), warn: at('warn'), error: at('error') } }
}
