/** What can be asked of the database: one statement, a transaction, bulk reads, a connection of one's own. Opened by pool.ts. */
import type { QueryResultRow } from 'pg'
import type { CopyStreamQuery, CopyToStreamQuery } from 'pg-copy-streams'
import type { Logger } from '../../core/log.ts'
import type { CopiedRow } from './copy-rows.ts'

/** With a name it is prepared once a connection; `answerMsMax` as in DatabaseOptions. */
export interface Statement {
  readonly name?: string
  readonly text: string
  readonly answerMsMax?: number
}

export interface TransactionOptions {
  /** Ends it by closing its connection, which rejects the query that runs; Postgres notices within a second. */
  readonly signal?: AbortSignal
  /** Of each of its statements: raised by whoever raises the server's statement_timeout. */
  readonly answerMsMax?: number
}

export interface Queryable {
  /** Buffers are sent as binary parameters (see sql.ts for arrays). int8 comes back as bigint, bytea as Buffer. */
  query<Row extends QueryResultRow>(
    statement: string | Statement,
    values?: readonly unknown[],
  ): Promise<readonly Row[]>
}

/** A connection of one's own, outside the pool: for LISTEN and session locks. */
export interface Connection extends Queryable, AsyncDisposable {
  /** Resolves when the connection has ended, for whatever reason. */
  readonly closed: Promise<void>
  /** A whole `COPY … TO STDOUT`, as it comes; errors are the driver's own. */
  copyOut(statement: string): CopyToStreamQuery
  /** A whole `COPY … FROM STDIN`. */
  copyIn(statement: string): CopyStreamQuery
}

export type Admit = (server: string) => void

export interface Database extends Queryable, AsyncDisposable {
  readonly schema: string
  readonly processId: string | null
  /** Runs in one transaction; deadlocks and serialization failures are run again, a few times. */
  transaction<T>(run: (transaction: Queryable) => Promise<T>, options?: TransactionOptions): Promise<T>
  /** The rows of a set-returning function called with numbers, their fields as the bytes of the binary format. */
  copyRows(name: string, values: readonly (number | bigint)[]): Promise<readonly CopiedRow[]>
  connect(onNotification?: (channel: string, payload: string) => void): Promise<Connection>
  /** Closes every connection under whatever runs on it; from then on everything rejects with STORE_UNAVAILABLE. */
  abandon(): void
  /**
   * How many connections of the pool ended while nobody used them, or led to another server than the one before, or to
   * one that was started anew: behind the address there may be other contents now.
   */
  lostConnections(): number
  /** Names the server that the newest connection leads to (servers.ts); null before the first. */
  server(): string | null
  /**
   * The same connections for statements, transactions and bulk reads that only go where `admit` does not throw: it is
   * asked with the server of the very connection, before anything is sent there. What it throws comes through as it is.
   */
  gated(admit: Admit): Database
  readonly abandoned: AbortSignal
}

export interface DatabaseOptions {
  readonly url: string
  readonly connectionsMax: number
  readonly applicationName: string
  readonly logger: Logger
  /** Tests use their own. */
  readonly schema?: string
  /** The same for all threads of a process that has several: they wake each other without the database (wakeup.ts). */
  readonly processId?: string
  /** Of the server's processes behind this pool, 1 to 19; only where the server runs on this machine, started by us. */
  readonly niceness?: number
  /** How long an answer is waited for before the connection counts as dead; default ANSWER_MS_MAX. */
  readonly answerMsMax?: number
}
