/**
 * Part of the job store's port: whether the store is the one that the log tells of, and how it is made whole again from
 * facts (core/recovery/fact.ts). While its state is `recovering` no other method takes, plans or announces a job.
 */
import type { Fact, RowFact } from '../recovery/fact.ts'
import type { TopicId } from './event-log.ts'

/** All that the log tells of this store before `next` is known to be in it. */
export interface NotedOffset {
  readonly topicId: TopicId
  readonly partition: number
  readonly next: bigint
}

export interface StoreState {
  readonly storeId: string
  /** `moved`: a move has stopped it, and only a move may start it again. */
  readonly state: 'ok' | 'recovering' | 'moved'
}

/** Numbers that facts have used: what the store writes from now on must lie above them. */
export interface UsedNumbers {
  readonly incarnation: number
  readonly auditId: bigint
}

/** An attempt or action with what the store cannot know: when to try again, how often at most. */
export interface TimedFact {
  readonly fact: RowFact
  readonly retryAtMs: number
  readonly attemptsMax: number
}

export interface RecoveryEnd {
  readonly used: UsedNumbers
  readonly noted: readonly NotedOffset[]
  /** Ends of event partitions; planning before them skips jobs that are known. */
  readonly planned: readonly NotedOffset[]
  /** For the audit. */
  readonly counts: Readonly<Record<string, number>>
}

export interface RecoveryStore {
  storeState(): Promise<StoreState>
  notedOffsets(): Promise<readonly NotedOffset[]>
  /** Only forward; one that somebody else moved further stays. @param server as in StepRequest */
  noteOffsets(noted: readonly NotedOffset[], server?: string | null): Promise<void>
  /** How many of them the store does not hold. */
  absentFacts(facts: readonly Fact[]): Promise<number>
  /** By compare-and-swap from `ok`, with its audit row. False when somebody else was first. */
  beginRecovery(used: UsedNumbers, details: Readonly<Record<string, unknown>>): Promise<boolean>
  /**
   * Of a store that holds nothing yet: from now on it is the one of that id, and recovers. Harmless where it is so already.
   * @throws STORE_NOT_EMPTY
   */
  beginRebuild(storeId: string, used: UsedNumbers): Promise<void>
  /** The index where `handler` is INDEX_HANDLER; a position that is there stays. */
  recoverPosition(handler: string, source: string, position: NotedOffset): Promise<bigint>
  /** Ids of topics that ended before what was archived, until the recovery has ended. */
  travelledTopics(): Promise<readonly TopicId[]>
  /** In their order, in one transaction; what is held already changes nothing. Returns how many were not. */
  recoverFacts(facts: readonly TimedFact[]): Promise<number>
  /** Back to `ok`, with its audit row. False when somebody else was first. */
  endRecovery(end: RecoveryEnd): Promise<boolean>
}
