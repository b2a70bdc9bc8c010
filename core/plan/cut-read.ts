/** What a read returned beyond an end is left out: the log counts records, and a gap may have made it go further. */
import type { ReadResult } from '../ports/event-log.ts'

/** @param until exclusive; null: there is no end */
export function cutRead(result: ReadResult, until: bigint | null): ReadResult {
  if (until === null || result.next <= until) return result
  return {
    ...result,
    next: until,
    records: result.records.filter(({ offset }) => offset < until),
    gaps: result.gaps
      .filter(({ from }) => from < until)
      .map((gap) => (gap.to < until ? gap : { ...gap, to: until - 1n })),
  }
}
