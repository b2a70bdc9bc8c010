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
  readOutbox(kind: OutboxKind, limit: number): Promise<{ from: OutboxPosition; rows: readonly OutboxRow[] }>
  /** Compare-and-swap of the noted position; false when another relay moved it. */
  advanceOutbox(kind: OutboxKind, from: OutboxPosition, to: OutboxPosition): Promise<boolean>
  outboxLag(kind: OutboxKind): Promise<bigint>
}
