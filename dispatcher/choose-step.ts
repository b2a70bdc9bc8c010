/**
 * Which offsets a planning step covers and for whom. Pure. All that stand at one position go together; a step ends
 * where somebody else stands, so that those who were apart meet again and share the work. Nobody passes the index.
 */
import { INDEX_HANDLER } from '../core/ports/plan-store.ts'

export interface StepChoice {
  readonly kind: 'index' | 'catch-up'
  readonly first: bigint
  /** Exclusive end; null for as far as the log goes. */
  readonly until: bigint | null
  /** Handlers to plan for, INDEX_HANDLER included in an index step. */
  readonly handlers: readonly string[]
}

export interface StandingPositions {
  readonly index: bigint
  readonly handlers: ReadonlyMap<string, bigint>
  /** May the handler be planned for now? */
  readonly admits: (handler: string) => boolean
}

/** Steps that could be taken now: the index's always, and the hindmost catch-up if there is one. */
export function chooseSteps(positions: StandingPositions): { index: StepChoice; catchUp: StepChoice | null } {
  const admitted = [...positions.handlers].filter(([handler]) => positions.admits(handler))
  const behind = admitted.filter(([, next]) => next < positions.index)
  const first = behind.reduce((least, [, next]) => (next < least ? next : least), positions.index)
  const standingAt = (position: bigint): string[] =>
    admitted.filter(([, next]) => next === position).map(([handler]) => handler)
  return {
    index: {
      kind: 'index',
      first: positions.index,
      until: nextStanding(positions, positions.index),
      handlers: [INDEX_HANDLER, ...standingAt(positions.index)],
    },
    catchUp:
      behind.length === 0
        ? null
        : {
            kind: 'catch-up',
            first,
            until: nextStanding(positions, first),
            handlers: standingAt(first),
          },
  }
}

/** The nearest position above `first` where the index or a handler stands. */
function nextStanding({ index, handlers }: StandingPositions, first: bigint): bigint | null {
  let nearest: bigint | null = null
  for (const position of [index, ...handlers.values()])
    if (position > first && (nearest === null || position < nearest)) nearest = position
  return nearest
}
