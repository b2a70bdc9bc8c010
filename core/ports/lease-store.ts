/**
 * Part of the job store's port: who holds a named lease, which dispatchers live and what they serve. For liveness only: a
 * row that comes late costs work done for nothing, or a moment of too much concurrency, never a job. All times are the
 * database's own.
 */
export interface LeaseStore {
  /** Takes or renews (name, owner) for `ttlMs`; false when somebody else holds it. */
  acquireLease(name: string, owner: string, ttlMs: number): Promise<boolean>
  releaseLease(name: string, owner: string): Promise<void>
}

/** A handler that nobody serves for so long is told of. */
export const UNSERVED_MS = 60_000

export interface ServeRequest {
  /** Of one process life; what it serves never changes. */
  readonly owner: string
  readonly handlers: readonly string[]
  readonly ttlMs: number
}

export interface ServedHandler {
  readonly handler: string
  /** Live ones that serve it. */
  readonly dispatchers: number
  /** Those of them whose names come before the asker's. */
  readonly before: number
  /** How long nobody has served it; null while somebody does, and while it is paused or disabled. */
  readonly unservedForMs: number | null
}

/** As operators see it. */
export interface HandlerService {
  /** Live ones that serve it. */
  readonly dispatchers: number
  /** Null while somebody serves it, and while it is paused or disabled. */
  readonly unservedSinceMs: number | null
}

export interface Served {
  /** No live dispatcher's name comes before the asker's: of what concerns all, it is the one who tells. */
  readonly isFirst: boolean
  /** Every handler of the store. */
  readonly handlers: readonly ServedHandler[]
}

export interface ServingStore {
  /**
   * In one statement: `owner` serves these handlers for `ttlMs` more, and whoever has not said so in time is forgotten.
   * Need not be durable.
   */
  serve(request: ServeRequest): Promise<Served>
  /** From now on `owner` serves nothing. */
  endServing(owner: string): Promise<void>
}
