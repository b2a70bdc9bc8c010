/** What verification needs of a row: its place, its time, its leaf. */
import type { TopicPartition } from '../ports/event-log.ts'
import { leafText, type LeafRecord } from './leaf.ts'
import type { HashText } from './merkle.ts'
import { decodeRowForLeaf, type DecodedRow } from './row.ts'

export interface LeafRow {
  readonly at: TopicPartition
  readonly offset: bigint
  readonly timestampMs: bigint
  readonly leaf: HashText
}

/** @throws ARCHIVE_ROW_INVALID */
export function leafRowOfLine(line: string): LeafRow {
  return leafRowOf(decodeRowForLeaf(line))
}

export function leafRowOf({ record, at }: DecodedRow<LeafRecord>): LeafRow {
  return { at, offset: record.offset, timestampMs: record.timestampMs, leaf: leafText(record, at) }
}
