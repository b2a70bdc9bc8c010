/** What a record weighs wherever sizes are bounded or counted: bytes of key, value and headers, their names included. */
import type { LogRecord } from '../ports/event-log.ts'

export function rawBytesOf({ key, value, headers }: Pick<LogRecord, 'key' | 'value' | 'headers'>): number {
  let bytes = (key?.length ?? 0) + (value?.length ?? 0)
  for (const header of headers) bytes += Buffer.byteLength(header.name) + (header.value?.length ?? 0)
  return bytes
}
