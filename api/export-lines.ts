/**
 * The export: JSON lines, newest event first, page by page without a cap, in bounded memory. The original JSON text is
 * spliced in; only line breaks between its tokens become spaces, so that every token keeps its text. An event whose
 * payload neither log nor archive holds is marked, and the last line then says how many: never a silent null.
 */
import { isUtf8 } from 'node:buffer'
import type { EventFilter, EventView, OperatorStore } from '../core/ports/operator-store.ts'
import { readRecords, type PayloadSources } from './read-payload.ts'
import { isoOf } from './views.ts'

const PAGE = 1_000
const CHUNK_BYTES_MAX = 4 * 1024 * 1024

export interface ExportDeps extends PayloadSources {
  readonly store: OperatorStore
}

/** Each string holds whole lines. */
export async function* exportLines(
  deps: ExportDeps,
  filter: Omit<EventFilter, 'limit' | 'cursor'> & { readonly max?: number | undefined },
): AsyncGenerator<string> {
  const { max, ...rest } = filter
  let left = max ?? Infinity
  let missing = 0
  let cursor: string | null = null
  do {
    const paging = cursor === null ? {} : { cursor }
    const page = await deps.store.listEvents({ ...rest, ...paging, limit: Math.min(PAGE, left) })
    for (const events of chunksOf(page.items)) {
      const found = await readRecords(deps, events)
      missing += events.filter(({ eventId }) => !found.has(eventId)).length
      yield events
        .map((event) => {
          const record = found.get(event.eventId)?.record
          return exportLine(event, record === undefined ? null : (record.value ?? Buffer.alloc(0)))
        })
        .join('')
    }
    left -= page.items.length
    cursor = left > 0 ? page.next : null
  } while (cursor !== null)
  if (missing > 0) yield `${JSON.stringify({ code: 'API_PAYLOAD_GONE', missing })}\n`
}

/** By the sizes of their bodies: what is in memory at a time is bounded, however large a page's bodies are. */
function* chunksOf(events: readonly EventView[]): Generator<readonly EventView[]> {
  let chunk: EventView[] = []
  let bytes = 0
  for (const event of events) {
    if (bytes > 0 && bytes + event.sizeBytes > CHUNK_BYTES_MAX) {
      yield chunk
      chunk = []
      bytes = 0
    }
    chunk.push(event)
    bytes += event.sizeBytes
  }
  if (chunk.length > 0) yield chunk
}

export function exportLine(
  event: Pick<EventView, 'eventId' | 'source' | 'type' | 'createdAtMs' | 'uniqueKey'>,
  body: Buffer | null,
): string {
  const head = JSON.stringify({ id: event.eventId, source: event.source, event_type: event.type })
  const tail = JSON.stringify({ created_at: isoOf(event.createdAtMs), unique_key: event.uniqueKey })
  return `${head.slice(0, -1)},${payloadField(body)},${tail.slice(1)}\n`
}

function payloadField(body: Buffer | null): string {
  if (body === null) return '"payload":null,"payload_missing":true'
  const text = isUtf8(body) ? body.toString('utf8') : null
  if (text !== null && isJson(text)) return `"payload":${oneLine(text)}`
  return `"payload_base64":"${body.toString('base64')}"`
}

/** Strings of valid JSON hold no raw line breaks: what is replaced here stands between tokens. */
function oneLine(json: string): string {
  return /[\r\n]/.test(json) ? json.replaceAll(/[\r\n]/g, ' ') : json
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
