/**
 * A segment that is complete: one contiguous range of offsets, ready for its two writes. Data first, then the manifest,
 * which is the commit. Between the two a crash leaves a data object that the next writer adopts.
 */
import type { ManifestGap, SegmentFormat } from '../core/archive/manifest.ts'
import type { LeaderEpoch, OffsetGap } from '../core/ports/event-log.ts'

export interface SegmentData {
  readonly key: string
  readonly format: SegmentFormat
  readonly size: number
  readonly sha256: Buffer
  readonly versionId: string | null
}

export interface Segment {
  readonly first: bigint
  /** Inclusive. */
  readonly last: bigint
  readonly records: number
  /** Bytes of keys, values and headers. */
  readonly rawBytes: bigint
  readonly gaps: readonly ManifestGap[]
  readonly minTimestampMs: bigint | null
  readonly maxTimestampMs: bigint | null
  readonly merkleRoot: string
  /** Empty where the log has none, and where its object was adopted. */
  readonly leaderEpochs: readonly LeaderEpoch[]
  /** Null when the range holds no record. */
  readonly data: SegmentData | null
  readonly adopted: boolean
}

/** Not yet in the store: its bytes are in memory or in a spool file. */
export interface SealedSegment extends Segment {
  readonly body: Buffer | { readonly path: string; readonly size: number } | null
}

/** Adds a gap, joined to the one before where both touch and have one reason. */
export function addGap(gaps: ManifestGap[], { from, to, reason }: OffsetGap): void {
  const before = gaps.at(-1)
  if (before !== undefined && before.reason === reason && BigInt(before.to) + 1n === from) {
    gaps[gaps.length - 1] = { ...before, to: String(to) }
  } else gaps.push({ from: String(from), to: String(to), reason })
}
