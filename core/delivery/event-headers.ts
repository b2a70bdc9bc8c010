/**
 * What an event itself puts into the headers of its delivery. Whoever may write to the topic decides what stands in a
 * record, and receivers refuse a request with long headers (Node: 16 KiB in all): so each value is made safe for a header
 * line and bounded, and so is what they come to. The whole record stays in log and archive.
 */
import type { EventRecord } from '../record/event-record.ts'
import { isTraceparent } from '../record/traceparent.ts'

/** Of one value, as it is sent. */
export const VALUE_CHARACTERS_MAX = 1_024
/** Of all `ce-*` headers that the sender brought, names included. */
export const ATTRIBUTES_CHARACTERS_MAX = 8_192
const UNKNOWN_CONTENT = 'application/octet-stream'

export function eventHeaders(event: EventRecord): Record<string, string> {
  const headers: Record<string, string> = {
    'content-type': contentTypeOf(event.contentType),
    'ce-specversion': '1.0',
    'ce-id': event.id,
    'ce-source': `/hooktrail/${event.source}`,
    'ce-type': boundedText(event.type),
    'ce-time': new Date(event.receivedAtMs).toISOString(),
  }
  if (event.subject !== null) headers['ce-subject'] = boundedText(event.subject)
  if (event.traceparent !== null && isTraceparent(event.traceparent))
    headers['traceparent'] = event.traceparent
  return { ...headers, ...attributeHeaders(event.cloudEvent ?? {}) }
}

/** Percent-encoded (CloudEvents HTTP binding 1.0 §3.1.3.2), and cut behind a whole character where it is too long. */
export function boundedText(text: string): string {
  const encoded = headerText(text)
  if (encoded.length <= VALUE_CHARACTERS_MAX) return encoded
  let bounded = ''
  for (const character of text) {
    const next = headerText(character)
    if (bounded.length + next.length > VALUE_CHARACTERS_MAX) break
    bounded += next
  }
  return bounded
}

/** A part of a content type would be another one. */
function contentTypeOf(text: string | null): string {
  if (text === null || text.length > VALUE_CHARACTERS_MAX) return UNKNOWN_CONTENT
  return /^[\x21-\x7e][\x20-\x7e]*$/.test(text) ? text : UNKNOWN_CONTENT
}

/** The sender's own CloudEvents attributes; what is too long is left out, since half of an id is another id. */
function attributeHeaders(attributes: Readonly<Record<string, string>>): Record<string, string> {
  const headers: Record<string, string> = {}
  let left = ATTRIBUTES_CHARACTERS_MAX
  for (const [attribute, text] of Object.entries(attributes)) {
    if (!/^[a-z0-9]{1,64}$/.test(attribute) || attribute === 'datacontenttype' || attribute === 'data')
      continue
    const [name, value] = [`ce-${attribute}`, headerText(text)]
    const characters = name.length + value.length
    if (value.length > VALUE_CHARACTERS_MAX || characters > left) continue
    headers[name] = value
    left -= characters
  }
  return headers
}

function headerText(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text)) return text
  return text.replace(/[^\x20-\x7e]/gu, (character) =>
    [...Buffer.from(character, 'utf8')]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
      .join(''),
  )
}
