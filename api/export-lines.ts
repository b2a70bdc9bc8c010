/** The export: one JSON line an event, page by page without a cap; the original JSON text is spliced in unchanged. */
import type { EventLog } from '../core/ports/event-log.ts'
import type { EventFilter, EventView, OperatorStore } from '../core/ports/job-store.ts'
import { readPayload } from './read-payload.ts'
import { isoOf } from './views.ts'

const PAGE = 200

export interface ExportDeps {
  readonly log: EventLog
  readonly store: OperatorStore
}

export async function* exportLines(
  { log, store }: ExportDeps,
  filter: Omit<EventFilter, 'limit' | 'cursor'> & { readonly max?: number | undefined },
): AsyncGenerator<string> {
  const { max, ...rest } = filter
  let left = max ?? Infinity
  let cursor: string | null = null
  do {
    const paging = cursor === null ? {} : { cursor }
    const page = await store.listEvents({ ...rest, ...paging, limit: Math.min(PAGE, left) })
    for (const event of page.items) yield exportLine(event, (await readPayload(log, event))?.body ?? null)
    left -= page.items.length
    cursor = left > 0 ? page.next : null
  } while (cursor !== null)
}

export function exportLine(event: EventView, body: Buffer | null): string {
  const head = JSON.stringify({ id: event.eventId, source: event.source, event_type: event.type }).slice(
    0,
    -1,
  )
  const tail = JSON.stringify({ created_at: isoOf(event.createdAtMs), unique_key: event.uniqueKey }).slice(1)
  return `${head},${payloadField(body)},${tail}\n`
}

/** A line break in the text would end the line: such a payload, valid JSON or not, goes as base64. */
function payloadField(body: Buffer | null): string {
  if (body === null) return '"payload":null,"payload_missing":true'
  const text = body.toString('utf8')
  if (isJsonLine(text) && Buffer.from(text).equals(body)) return `"payload":${text}`
  return `"payload_base64":"${body.toString('base64')}"`
}

function isJsonLine(text: string): boolean {
  if (/[\r\n]/.test(text)) return false
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
