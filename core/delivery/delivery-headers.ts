/**
 * Headers of a delivery (delivery §5). `webhook-id` is a function of event and handler alone, so it is stable over
 * retries and a receiver can use it to drop a repetition. What comes from outside is bounded in event-headers.ts.
 */
import type { KeyObject } from 'node:crypto'
import type { EventRecord } from '../record/event-record.ts'
import { boundedText, eventHeaders } from './event-headers.ts'
import { signMessage } from './webhook-signature.ts'

export interface DeliveryHead {
  readonly handler: string
  readonly jobId: string
  readonly attempt: number
  /** Id of the replay that delivers it; null: it is live. */
  readonly replay: string | null
  readonly event: EventRecord
  readonly body: Buffer
  /** Of a body that is not the event's own; null: the event's. */
  readonly contentType: string | null
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
    'user-agent': 'hooktrail',
    ...eventHeaders(event),
    'x-hooktrail-event-id': event.id,
    'x-hooktrail-job-id': head.jobId,
    'x-hooktrail-source': event.source,
    'x-hooktrail-event-type': boundedText(event.type),
    'x-hooktrail-handler': head.handler,
    'x-hooktrail-attempt': String(head.attempt),
    ...(head.replay === null ? {} : { 'x-hooktrail-replay': head.replay }),
  }
  if (head.contentType !== null) headers['content-type'] = head.contentType
  for (const [name, value] of Object.entries(head.own)) {
    const lower = name.toLowerCase()
    if (!RESERVED.has(lower)) headers[lower] = value
  }
  headers['webhook-id'] = id
  headers['webhook-timestamp'] = String(timestampSeconds)
  if (head.keys.length > 0)
    headers['webhook-signature'] = signMessage(head.keys, { id, timestampSeconds, body: head.body })
  return headers
}

export function webhookId(eventId: string, handler: string): string {
  return `${eventId}.${handler}`
}
