/**
 * Headers of a delivery (delivery §5). `webhook-id` is a function of event and handler alone, so it is stable over
 * retries and a receiver can use it to drop a repetition. Values from outside are made safe for a header line.
 */
import type { KeyObject } from 'node:crypto'
import type { EventRecord } from '../record/event-record.ts'
import { signMessage } from './webhook-signature.ts'

export interface DeliveryHead {
  readonly handler: string
  readonly jobId: string
  readonly attempt: number
  readonly event: EventRecord
  /** Wall clock, milliseconds. */
  readonly nowMs: number
  readonly keys: readonly KeyObject[]
  /** The handler's own headers; they win over ours, but for the signature's three. */
  readonly own: Readonly<Record<string, string>>
}

const RESERVED = new Set(['webhook-id', 'webhook-timestamp', 'webhook-signature', 'content-length', 'host'])

export function deliveryHeaders(head: DeliveryHead): Record<string, string> {
  const { event } = head
  const timestampSeconds = Math.floor(head.nowMs / 1000)
  const id = webhookId(event.id, head.handler)
  const headers: Record<string, string> = {
    'content-type': headerText(event.contentType ?? 'application/octet-stream'),
    'user-agent': 'hooktrail',
    ...cloudEventHeaders(event),
    'x-hooktrail-event-id': event.id,
    'x-hooktrail-job-id': head.jobId,
    'x-hooktrail-source': event.source,
    'x-hooktrail-event-type': headerText(event.type),
    'x-hooktrail-handler': head.handler,
    'x-hooktrail-attempt': String(head.attempt),
  }
  if (event.traceparent !== null) headers['traceparent'] = headerText(event.traceparent)
  for (const [name, value] of Object.entries(head.own)) {
    const lower = name.toLowerCase()
    if (!RESERVED.has(lower)) headers[lower] = value
  }
  headers['webhook-id'] = id
  headers['webhook-timestamp'] = String(timestampSeconds)
  if (head.keys.length > 0)
    headers['webhook-signature'] = signMessage(head.keys, { id, timestampSeconds, body: event.body })
  return headers
}

export function webhookId(eventId: string, handler: string): string {
  return `${eventId}.${handler}`
}

/** The sender's own CloudEvents attributes where it sent any, ours otherwise. */
function cloudEventHeaders(event: EventRecord): Record<string, string> {
  const headers: Record<string, string> = {
    'ce-specversion': '1.0',
    'ce-id': event.id,
    'ce-source': `/hooktrail/${event.source}`,
    'ce-type': headerText(event.type),
    'ce-time': new Date(event.receivedAtMs).toISOString(),
  }
  if (event.subject !== null) headers['ce-subject'] = headerText(event.subject)
  if (event.cloudEvent === null) return headers
  for (const [name, value] of Object.entries(event.cloudEvent)) {
    if (/^[a-z0-9]{1,64}$/.test(name) && name !== 'datacontenttype' && name !== 'data')
      headers[`ce-${name}`] = headerText(value)
  }
  return headers
}

/** Percent-encodes what may not stand in a header value (CloudEvents HTTP binding 1.0 §3.1.3.2). */
function headerText(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text)) return text
  return text.replace(/[^\x20-\x7e]/gu, (character) =>
    [...Buffer.from(character, 'utf8')]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
      .join(''),
  )
}
