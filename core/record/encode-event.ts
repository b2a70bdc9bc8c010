/**
 * One event as a log record: CloudEvents 1.0 Kafka binding, binary mode. The value is the body as received (I2), key
 * the ordering key, everything else a header in the order of EVENT_HEADERS.
 */
import type { AppendHeader } from '../ports/event-log.ts'
import { EVENT_HEADERS, type EventRecord } from './event-record.ts'

export const SOURCE_PREFIX = '/hooktrail/'
const SPEC_VERSION: AppendHeader = { name: EVENT_HEADERS.specVersion, value: '1.0' }

export interface EncodedEvent {
  readonly key: Buffer
  readonly value: Buffer
  readonly headers: AppendHeader[]
}

export function encodeEvent(event: EventRecord): EncodedEvent {
  const headers: AppendHeader[] = [SPEC_VERSION]
  const add = (name: string, value: string | null): void => {
    if (value !== null) headers.push({ name, value })
  }
  add(EVENT_HEADERS.id, event.id)
  add(EVENT_HEADERS.source, SOURCE_PREFIX + event.source)
  add(EVENT_HEADERS.type, event.type)
  add(EVENT_HEADERS.time, new Date(event.receivedAtMs).toISOString())
  add(EVENT_HEADERS.subject, event.subject)
  add(EVENT_HEADERS.contentType, event.contentType)
  add(EVENT_HEADERS.traceparent, event.traceparent)
  add(EVENT_HEADERS.dedup, event.dedupKey)
  add(EVENT_HEADERS.cloudEvent, event.cloudEvent && JSON.stringify(event.cloudEvent))
  add(EVENT_HEADERS.request, event.request && JSON.stringify(event.request))
  add(EVENT_HEADERS.evidence, event.evidence && JSON.stringify(event.evidence))
  add(EVENT_HEADERS.schema, event.schema && JSON.stringify(event.schema))
  add(EVENT_HEADERS.decoded, event.decoded)
  return { key: Buffer.from(event.orderingKey), value: event.body, headers }
}
