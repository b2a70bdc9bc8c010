/**
 * The one way to the database (database.ts): the pool of connections behind it, all set alike (session.ts).
 * Nothing here reconnects by itself: each query takes a fresh connection when the last one died, and callers' loops go
 * on for ever.
 */
import { setPriority } from 'node:os'
import { Pool, type PoolClient } from 'pg'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { Logger } from '../../core/log.ts'
import type { Admit, Database, DatabaseOptions } from './database.ts'
import { mapDatabaseError } from './database-error.ts'
import { openConnection } from './own-connection.ts'
import { Servers } from './servers.ts'
import { sessionConfig, STATEMENT_TIMEOUT_MS } from './session.ts'
import { Sockets } from './sockets.ts'
import { copyFrom, runTransaction, singly, type CheckOut } from './transaction.ts'

const IDLE_TIMEOUT_MS = 60_000
/** The server gives up before; only a connection that went silent takes longer. */
const ANSWER_MS_MAX = STATEMENT_TIMEOUT_MS + 5_000

export function openDatabase(options: DatabaseOptions): Database {
  const schema = options.schema ?? 'hooktrail'
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema))
    throw new TypeError('a schema name is lower case letters, digits and _')
  const sockets = new Sockets()
  const servers = new Servers()
  const config = { ...sessionConfig(options, schema), stream: () => sockets.create() }
  const abandoned = new AbortController()
  const pool = new Pool({
    ...{ ...config, max: options.connectionsMax, idleTimeoutMillis: IDLE_TIMEOUT_MS },
    verify: (client, done) => {
      servers.meet(client).then(() => {
        done()
      }, done)
    },
  })
  let lost = 0
  pool.on('error', (error) => {
    lost += 1
    options.logger.debug({ reason: error.message }, 'an idle database connection ended')
  })
  const { niceness, logger, answerMsMax = ANSWER_MS_MAX } = options
  pool.on('connect', (client) => {
    // The pool listens to idle connections alone, and an error that nobody hears ends the process. The next statement on
    // it rejects and says so.
    client.on('error', () => undefined)
    if (niceness !== undefined) lowerPriority(client, niceness, logger)
  })
  let ended: Promise<void> | null = null
  const end = (): Promise<void> => (ended ??= pool.end().then(() => sockets.closed()))
  const common = {
    schema,
    processId: options.processId ?? null,
    connect: async (onNotification?: Parameters<Database['connect']>[0]) => {
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
    lostConnections: () => lost + servers.changes,
    server: () => servers.newest,
    [Symbol.asyncDispose]: end,
  }
  const view = (admit: Admit): Database => {
    const checkOut: CheckOut = () => checkOutOf(pool, servers, admit)
    return {
      ...common,
      ...singly(checkOut, answerMsMax),
      transaction: (run, options) => runTransaction(checkOut, run, { answerMsMax, ...options }),
      copyRows: (name, values) => copyFrom(checkOut, { name, values, answerMsMax }),
      gated: (also) =>
        view((server) => {
          admit(server)
          also(server)
        }),
    }
  }
  return view(() => undefined)
}

/** A connection to the newest server: what is left of those to an earlier one is closed. */
async function checkOutOf(pool: Pool, servers: Servers, admit: Admit): Promise<PoolClient> {
  for (;;) {
    const client = await connected(pool)
    const server = servers.of(client)
    if (server === null || server !== servers.newest) {
      client.release(true)
      continue
    }
    try {
      admit(server)
    } catch (error) {
      client.release()
      throw error
    }
    return client
  }
}

async function connected(pool: Pool): Promise<PoolClient> {
  try {
    return await pool.connect()
  } catch (error) {
    throw mapDatabaseError(error)
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
