/**
 * A log record as an event. Total: never throws on any bytes, because whoever may write to the topic decides what lies
 * there. A record without hooktrail's headers gets an id derived from its position, the topic's source and the type
 * `unknown`; texts are made fit for indexes on the way (core/record/bounded-text.ts).
 */
import type { LogRecord, TopicPartition } from '../ports/event-log.ts'
import { boundText } from './bounded-text.ts'
import { SOURCE_PREFIX } from './encode-event.ts'
import { foreignEventId, isEventId } from './event-ids.ts'
import { EVENT_HEADERS, type EventRecord } from './event-record.ts'
import { parseEvidence, parseRequest, parseSchemaEvidence, parseTextMap } from './parse-header.ts'

export const UNKNOWN_TYPE = 'unknown'
/** 9999-12-31T23:59:59.999Z: later times have no four-digit year. */
const TIME_MS_MAX = 253_402_300_799_999
const EMPTY = Buffer.alloc(0)
const EVENTS_INFIX = '.events.'

export function decodeEvent(record: LogRecord, at: TopicPartition): EventRecord {
  const header = headerReader(record)
  const id = header(EVENT_HEADERS.id) ?? ''
  const eventId = isEventId(id) ? id : foreignEventId({ ...at, ...record })
  const subject = header(EVENT_HEADERS.subject)
  const dedupKey = header(EVENT_HEADERS.dedup)
  return {
    id: eventId,
    source: sourceAt(at.topic, header(EVENT_HEADERS.source)),
    type: boundText(header(EVENT_HEADERS.type) ?? UNKNOWN_TYPE),
    subject: subject === null ? null : boundText(subject),
    receivedAtMs: timeOf(header(EVENT_HEADERS.time), record.timestampMs),
    contentType: header(EVENT_HEADERS.contentType),
    traceparent: header(EVENT_HEADERS.traceparent),
    dedupKey: dedupKey === null ? null : boundText(dedupKey),
    cloudEvent: parseTextMap(header(EVENT_HEADERS.cloudEvent)),
    decoded: header(EVENT_HEADERS.decoded),
    // Those that few readers look at, and that cost as much as all the others.
    get request() {
      return parseRequest(header(EVENT_HEADERS.request))
    },
    get evidence() {
      return parseEvidence(header(EVENT_HEADERS.evidence))
    },
    get schema() {
      return parseSchemaEvidence(header(EVENT_HEADERS.schema))
    },
    body: record.value ?? EMPTY,
    orderingKey: record.key === null ? (dedupKey ?? eventId) : record.key.toString('utf8'),
  }
}

/** First header of a name counts. */
function headerReader({ headers }: LogRecord): (name: string) => string | null {
  return (name) => headers.find((header) => header.name === name)?.value?.toString('utf8') ?? null
}

/** The topic decides; what the record says only tells where a source's name begins that holds `.events.` itself. */
function sourceAt(topic: string, said: string | null): string {
  if (said?.startsWith(SOURCE_PREFIX) === true) {
    const source = said.slice(SOURCE_PREFIX.length)
    if (topic.endsWith(EVENTS_INFIX + source)) return source
  }
  const index = topic.indexOf(EVENTS_INFIX)
  return index === -1 ? topic : topic.slice(index + EVENTS_INFIX.length)
}

function timeOf(text: string | null, timestampMs: bigint): number {
  const said = text === null ? NaN : Date.parse(text)
  const ms = Number.isNaN(said) ? Number(timestampMs) : said
  return Math.min(Math.max(ms, 0), TIME_MS_MAX)
}
