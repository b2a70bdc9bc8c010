/**
 * Port: what the store has to tell the log, a group of the job store (its duties: job-store.ts). Attempts, plan steps and
 * audit rows are the outbox themselves: they are read in order, told, and the place is noted.
 */

export type OutboxKind = 'plan_steps' | 'attempts' | 'audit'

export interface OutboxPosition {
  readonly incarnation: number
  /** xid8 as decimal text. */
  readonly xid: string
  readonly id: string
}

/** As it was read: two servers may have noted the same and mean other rows. */
export interface NotedPosition extends OutboxPosition {
  /** Null: of whichever. */
  readonly server: string | null
}

export interface OutboxRow {
  readonly position: OutboxPosition
  readonly id: string
  /** Event id, or the handler for plan steps: the record's key. */
  readonly key: string
  /** The record's value, JSON, ready for the log. */
  readonly value: string
}

export interface OutboxStore {
  /** Rows behind the noted position and below every running transaction, in (incarnation, xid, id) order. */
  readOutbox(kind: OutboxKind, limit: number): Promise<{ from: NotedPosition; rows: readonly OutboxRow[] }>
  /** Compare-and-swap of the noted position, where it was read; false when another relay moved it. */
  advanceOutbox(kind: OutboxKind, from: NotedPosition, to: OutboxPosition): Promise<boolean>
  outboxLag(kind: OutboxKind): Promise<bigint>
}
