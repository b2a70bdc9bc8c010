/** The event's record, read from the log at its pointer; the topic id is checked, so no other topic's bytes appear. */
import { HooktrailError, isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { EventLog } from '../core/ports/event-log.ts'
import type { EventView } from '../core/ports/job-store.ts'
import { decodeEvent } from '../core/record/decode-event.ts'
import type { EventRecord } from '../core/record/event-record.ts'

/** Null when the log no longer holds it. */
export async function readPayload(log: EventLog, event: EventView): Promise<EventRecord | null> {
  const { topic, topicId, partition, offset } = event
  const at = { topic, topicId, partition }
  try {
    const { records } = await log.read({ ...at, from: offset, recordsMax: 1, bytesMax: 1, waitMsMax: 0 })
    const [record] = records
    if (record?.offset !== offset) return null
    return decodeEvent(record, at)
  } catch (error) {
    if (isHooktrailError(error, 'LOG_OFFSET_OUT_OF_RANGE') || isHooktrailError(error, 'LOG_TOPIC_REPLACED'))
      return null
    throw error
  }
}

/** @throws API_PAYLOAD_GONE */
export async function requirePayload(log: EventLog, event: EventView): Promise<EventRecord> {
  const record = await readPayload(log, event)
  if (record === null) throw new HooktrailError('API_PAYLOAD_GONE', { id: event.eventId })
  return record
}
