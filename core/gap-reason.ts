/**
 * Why an offset has no record, in the log and in the archive alike. The first three are the log's own housekeeping; the
 * others mean that an event may have been there: planning counts them as lost, the verifier as exit 2.
 */
export type GapReason =
  'control' | 'aborted' | 'compacted' | 'hole' | 'retention-loss' | 'topic-deleted' | 'log-travelled-back'

const LOSSES: ReadonlySet<GapReason> = new Set<GapReason>([
  'hole',
  'retention-loss',
  'topic-deleted',
  'log-travelled-back',
])

/** True where no record ever was, whoever looks when; of the others one may have been there earlier. */
export function neverHeldRecord(reason: GapReason): boolean {
  return reason === 'control' || reason === 'aborted'
}

export function isLoss(reason: GapReason): boolean {
  return LOSSES.has(reason)
}
