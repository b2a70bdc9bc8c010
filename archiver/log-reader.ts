/** Reads one partition of the log in bounded batches and hands out records and gaps in the order of their offsets. */
import type { LogRecord, OffsetGap, ReadResult, TopicPartition } from '../core/ports/event-log.ts'
import type { ArchiverContext } from './archiver-context.ts'

export const READ_RECORDS_MAX = 1000
const READ_BYTES_MAX = 2 * 1024 * 1024

export type LogEntry =
  { readonly kind: 'record'; readonly record: LogRecord } | { readonly kind: 'gap'; readonly gap: OffsetGap }

export function readBatch(context: ArchiverContext, at: TopicPartition, from: bigint): Promise<ReadResult> {
  return context.log.read({
    ...at,
    from,
    recordsMax: READ_RECORDS_MAX,
    bytesMax: READ_BYTES_MAX,
    waitMsMax: 0,
  })
}

/** Both lists are in order by themselves; together they cover [from, next). */
export function* entriesOf({ records, gaps }: ReadResult): Generator<LogEntry, void, undefined> {
  let gapIndex = 0
  for (const record of records) {
    for (let gap = gaps[gapIndex]; gap !== undefined && gap.from < record.offset; gap = gaps[++gapIndex]) {
      yield { kind: 'gap', gap }
    }
    yield { kind: 'record', record }
  }
  for (const gap of gaps.slice(gapIndex)) yield { kind: 'gap', gap }
}
