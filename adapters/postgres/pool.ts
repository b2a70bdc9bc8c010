/**
 * The one way to the database. Every session has synchronous_commit on, UTC, bounded waits for locks and
 * statements, and the schema `hooktrail` as its search path. Nothing here reconnects by itself: each query takes
 * a fresh connection when the last one died, and callers' loops go on for ever.
 */
import { setPriority } from 'node:os'
import { Client, Pool, type ClientConfig, type PoolClient, type QueryResultRow } from 'pg'
import { HooktrailError, isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { Logger } from '../../core/log.ts'
import {
  from as copyFromStdin,
  to as copyToStdout,
  type CopyStreamQuery,
  type CopyToStreamQuery,
} from 'pg-copy-streams'
import { copyOut, parseRows, type CopiedRow } from './copy-rows.ts'
import { isRepeatable, mapDatabaseError } from './database-error.ts'
import { Sockets } from './sockets.ts'
import { resultTypes } from './sql.ts'

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

export interface Database extends Queryable, AsyncDisposable {
  readonly schema: string
  readonly processId: string | null
  /** Runs in one transaction; deadlocks and serialization failures are run again, at most ATTEMPTS_MAX times in all. */
  transaction<T>(run: (transaction: Queryable) => Promise<T>, options?: TransactionOptions): Promise<T>
  /** The rows of a set-returning function called with numbers, their fields as the bytes of the binary format. */
  copyRows(name: string, values: readonly (number | bigint)[]): Promise<readonly CopiedRow[]>
  connect(onNotification?: (channel: string, payload: string) => void): Promise<Connection>
  /** Closes every connection under whatever runs on it; from then on everything rejects with STORE_UNAVAILABLE. */
  abandon(): void
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

const ATTEMPTS_MAX = 5
const CONNECT_TIMEOUT_MS = 5_000
const IDLE_TIMEOUT_MS = 60_000
const LOCK_TIMEOUT_MS = 10_000
const STATEMENT_TIMEOUT_MS = 30_000
/** The server gives up before; only a connection that went silent takes longer. */
const ANSWER_MS_MAX = STATEMENT_TIMEOUT_MS + 5_000
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 60_000

export function openDatabase(options: DatabaseOptions): Database {
  const schema = options.schema ?? 'hooktrail'
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema))
    throw new TypeError('a schema name is lower case letters, digits and _')
  const sockets = new Sockets()
  const config = { ...sessionConfig(options, schema), stream: () => sockets.create() }
  const abandoned = new AbortController()
  const pool = new Pool({ ...config, max: options.connectionsMax, idleTimeoutMillis: IDLE_TIMEOUT_MS })
  pool.on('error', (error) => {
    options.logger.debug({ reason: error.message }, 'an idle database connection ended')
  })
  const { niceness, logger, answerMsMax = ANSWER_MS_MAX } = options
  if (niceness !== undefined)
    pool.on('connect', (client) => {
      lowerPriority(client, niceness, logger)
    })
  let ended: Promise<void> | null = null
  const end = (): Promise<void> => (ended ??= pool.end().then(() => sockets.closed()))
  return {
    schema,
    processId: options.processId ?? null,
    ...queryable(pool, answerMsMax),
    transaction: (run, options) => runTransaction(pool, run, { answerMsMax, ...options }),
    copyRows: (name, values) => copyFrom(pool, { name, values, answerMsMax }),
    connect: async (onNotification) => {
      if (abandoned.signal.aborted) throw new HooktrailError('STORE_UNAVAILABLE', { reason: 'given up' })
      return openConnection(config, answerMsMax, onNotification)
    },
    abandon: () => {
      abandoned.abort()
      // A pool that ends gives no connection any more.
      void end()
      sockets.destroy()
    },
    abandoned: abandoned.signal,
    [Symbol.asyncDispose]: end,
  }
}

/** The pid came with the connection. Where the system does not permit it, all share the machine alike. */
function lowerPriority(client: PoolClient, niceness: number, logger: Logger): void {
  const pid = 'processID' in client ? client.processID : null
  if (typeof pid !== 'number') return
  try {
    setPriority(pid, niceness)
  } catch (error) {
    logger.debug({ err: error }, 'the priority of a database process was not lowered')
  }
}

/** fsync and full_page_writes are what an acknowledgement stands on: off is refused. @throws LOG_FSYNC_OFF */
export async function requireDurableSettings(database: Queryable): Promise<void> {
  const [settings] = await database.query<
    Record<'fsync' | 'full_page_writes' | 'synchronous_commit', string>
  >(
    `SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
            current_setting('synchronous_commit') AS synchronous_commit`,
  )
  if (settings?.fsync !== 'on' || settings.full_page_writes !== 'on' || settings.synchronous_commit === 'off')
    throw new HooktrailError('LOG_FSYNC_OFF', { ...settings })
}

function sessionConfig({ url, applicationName }: DatabaseOptions, schema: string): ClientConfig {
  const settings = [
    'synchronous_commit=on',
    'timezone=UTC',
    `search_path=${schema}`,
    `lock_timeout=${LOCK_TIMEOUT_MS}`,
    `statement_timeout=${STATEMENT_TIMEOUT_MS}`,
    `idle_in_transaction_session_timeout=${IDLE_IN_TRANSACTION_TIMEOUT_MS}`,
  ]
  return {
    connectionString: url,
    application_name: applicationName,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    types: resultTypes,
    options: settings.map((setting) => `-c ${setting}`).join(' '),
  }
}

/** Each statement bounded by `answerMsMax` or its own. */
function queryable(target: Pick<Client, 'query'> | Pick<Pool, 'query'>, answerMsMax: number): Queryable {
  return {
    query: async <Row extends QueryResultRow>(
      statement: string | Statement,
      values: readonly unknown[] = [],
    ) => {
      const {
        name,
        text,
        answerMsMax: own,
      }: Statement = typeof statement === 'string' ? { text: statement } : statement
      const config = {
        text,
        // Without values the driver uses the simple protocol, which allows several statements in one text.
        ...(values.length === 0 ? {} : { values: [...values] }),
        ...(name === undefined ? {} : { name }),
        // The pool closes the connection of a query that failed; the driver itself would go on waiting.
        query_timeout: own ?? answerMsMax,
      }
      try {
        return (await target.query<Row>(config)).rows
      } catch (error) {
        throw mapDatabaseError(error)
      }
    },
  }
}

type BoundedOptions = TransactionOptions & { readonly answerMsMax: number }

async function runTransaction<T>(
  pool: Pool,
  run: (transaction: Queryable) => Promise<T>,
  options: BoundedOptions,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await runOnce(pool, run, options)
    } catch (error) {
      if (!isRepeatable(error) || attempt === ATTEMPTS_MAX) throw error
    }
  }
}

function runOnce<T>(
  pool: Pool,
  run: (transaction: Queryable) => Promise<T>,
  { signal, answerMsMax }: BoundedOptions,
): Promise<T> {
  return withClient(pool, async (client, discard) => {
    const transaction = queryable(client, answerMsMax)
    signal?.addEventListener('abort', discard, { once: true })
    try {
      if (signal?.aborted === true) discard()
      await transaction.query('BEGIN')
      const result = await run(transaction)
      await transaction.query('COMMIT')
      return result
    } catch (error) {
      // One that did not answer would not answer to this either: closed, it is rolled back by the server.
      if (isHooktrailError(error, 'STORE_UNAVAILABLE')) discard()
      else await transaction.query('ROLLBACK').catch(discard)
      throw error
    } finally {
      signal?.removeEventListener('abort', discard)
    }
  })
}

interface Copy {
  readonly name: string
  readonly values: readonly (number | bigint)[]
  readonly answerMsMax: number
}

function copyFrom(pool: Pool, { name, values, answerMsMax }: Copy): Promise<readonly CopiedRow[]> {
  return withClient(pool, async (client, discard) => {
    const silence = setTimeout(discard, answerMsMax)
    const copied = await copyOut(client, name, values)
      .catch((error: unknown) => {
        discard()
        throw mapDatabaseError(error)
      })
      .finally(() => {
        clearTimeout(silence)
      })
    return parseRows(copied)
  })
}

/** A connection of the pool for several messages; `discard` closes it at once, under whatever runs on it. */
async function withClient<T>(
  pool: Pool,
  run: (client: PoolClient, discard: () => void) => Promise<T>,
): Promise<T> {
  const client = await pool.connect().catch((error: unknown) => {
    throw mapDatabaseError(error)
  })
  // Between queries a dying connection is reported here only; the next query rejects and says so.
  const onError = (): void => undefined
  client.on('error', onError)
  let isReleased = false
  const release = (isBroken: boolean): void => {
    if (!isReleased) client.release(isBroken)
    isReleased = true
  }
  try {
    return await run(client, () => {
      release(true)
    })
  } finally {
    client.off('error', onError)
    release(false)
  }
}

async function openConnection(
  config: ClientConfig,
  answerMsMax: number,
  onNotification?: (channel: string, payload: string) => void,
): Promise<Connection> {
  const client = new Client(config)
  const closed = Promise.withResolvers<void>()
  client.on('end', () => {
    closed.resolve()
  })
  client.on('error', () => {
    closed.resolve()
  })
  if (onNotification !== undefined)
    client.on('notification', ({ channel, payload }) => {
      onNotification(channel, payload ?? '')
    })
  try {
    await client.connect()
  } catch (error) {
    throw mapDatabaseError(error)
  }
  return {
    closed: closed.promise,
    ...queryable(client, answerMsMax),
    copyOut: (statement) => client.query(copyToStdout(statement)),
    copyIn: (statement) => client.query(copyFromStdin(statement)),
    [Symbol.asyncDispose]: async () => {
      await client.end().catch(() => undefined)
      closed.resolve()
    },
  }
}
