/**
 * Which server a connection leads to. Behind one address another may answer after a failover, or the same with other
 * contents after it was put back: each start of a server has its time and each database its number, which every new
 * connection asks for once. It never leads elsewhere later, so whoever knows what its server was found to be may use it.
 */
import type { ClientBase } from 'pg'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { Database } from './database.ts'
import { queryable } from './queryable.ts'

const ASK_MS_MAX = 5_000
/** Of the start, in microseconds: two servers that answer under one address do not share it. A dump that is read in is another database. */
const STARTED = `SELECT pg_postmaster_start_time() || '/' || oid AS server
  FROM pg_database WHERE datname = current_database()`

/** Null: whichever answers. Elsewhere everything rejects with STORE_UNAVAILABLE, and nothing is sent. */
export function onServer(database: Database, server: string | null): Database {
  if (server === null) return database
  return database.gated((there) => {
    requireServer(server, there)
  })
}

/** @throws STORE_UNAVAILABLE */
export function requireServer(wanted: string, there: string): void {
  if (there === wanted) return
  throw new HooktrailError('STORE_UNAVAILABLE', { reason: 'another server answers, or it was started anew' })
}

export class Servers {
  readonly #of = new WeakMap<ClientBase, string>()
  #newest: string | null = null
  #changes = 0

  /** Null before the first connection. */
  get newest(): string | null {
    return this.#newest
  }

  /** How often a connection led elsewhere than the one before it. */
  get changes(): number {
    return this.#changes
  }

  /** Of a connection that nobody has used. @throws STORE_UNAVAILABLE */
  async meet(client: ClientBase): Promise<void> {
    const [row] = await queryable(client, ASK_MS_MAX).query<{ server: string }>(STARTED)
    if (row === undefined)
      throw new HooktrailError('STORE_UNAVAILABLE', { reason: 'the database has no number' })
    if (this.#newest !== null && this.#newest !== row.server) this.#changes += 1
    this.#newest = row.server
    this.#of.set(client, row.server)
  }

  of(client: ClientBase): string | null {
    return this.#of.get(client) ?? null
  }
}
