/**
 * hooktrail's own Postgres, for a box where nobody runs one: made at first start below $HOOKTRAIL_HOME, on a unix
 * socket in a private folder, fsync on. It is started again when it dies, and stopped when hooktrail stops.
 */
import { realpath, rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Clock } from '../../core/clock.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { Logger } from '../../core/log.ts'
import { boundLogFile, openDataFolder, openHome, POSTGRES_USER, socketFolder } from './own-postgres-folder.ts'
import { lockHome } from './own-postgres-lock.ts'
import {
  startPostmaster,
  stopPostmaster,
  stopSurvivor,
  type PostgresPlaces,
  type Postmaster,
} from './own-postgres-process.ts'
import { openDatabase } from './pool.ts'

export interface OwnPostgres extends AsyncDisposable {
  readonly url: string
  readonly socketDirectory: string
  readonly user: string
  readonly database: string
  readonly dataDirectory: string
  /** Of the postmaster that runs now. */
  readonly pid: number
  /** Resolves after a stop; rejects when Postgres died too often to be started again. */
  readonly done: Promise<void>
}

export interface OwnPostgresOptions {
  readonly home: string
  readonly clock: Clock
  readonly logger: Logger
  /** Runs when the home is ours, before any process is started for it; what it throws ends the start. */
  readonly beforeStart?: () => Promise<void>
}

const DATABASE = 'hooktrail'
const LOG_CHECK_MS = 60_000
const ENDS_PER_MINUTE_MAX = 10
const RESTART_DELAY_MS = 100
const RESTART_DELAY_MS_MAX = 5_000

/** @throws STORE_HOME_TOO_OPEN, STORE_HOME_NOT_WRITABLE, STORE_HOME_LOCKED, STORE_POSTGRES_MAJOR, STORE_POSTGRES_FAILED, STORE_POSTGRES_AS_ROOT */
export async function startOwnPostgres(options: OwnPostgresOptions): Promise<OwnPostgres> {
  const { clock, logger } = options
  await openHome(options.home)
  const home = await realpath(resolve(options.home))
  await using undo = new AsyncDisposableStack()
  undo.use(await lockHome(home))
  await options.beforeStart?.()
  const data = await openDataFolder(home)
  const survivor = await stopSurvivor(data, clock)
  if (survivor !== null) logger.warn({ pid: survivor }, 'stopped the Postgres of an earlier run')
  const socket = await socketFolder(home)
  if (socket.temporary) undo.defer(() => rm(socket.path, { recursive: true, force: true }))
  const runner = new PostgresRunner({ home, data, socket: socket.path }, options)
  undo.defer(() => runner.stop())
  await runner.start()
  await createDatabase(socket.path, logger)
  const resources = undo.move()
  return {
    url: socketUrl(socket.path, DATABASE),
    socketDirectory: socket.path,
    user: POSTGRES_USER,
    database: DATABASE,
    dataDirectory: data,
    get pid() {
      return runner.pid
    },
    done: runner.done,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

class PostgresRunner {
  readonly #places: PostgresPlaces
  readonly #options: OwnPostgresOptions
  readonly #stopping = new AbortController()
  readonly #done = Promise.withResolvers<void>()
  #postmaster: Postmaster | null = null
  #ends: readonly number[] = []
  #loop: Promise<unknown> | null = null

  constructor(places: PostgresPlaces, options: OwnPostgresOptions) {
    this.#places = places
    this.#options = options
    // Whoever does not watch `done` must not be ended by it.
    this.#done.promise.catch(() => undefined)
  }

  get pid(): number {
    return this.#postmaster?.pid ?? 0
  }

  get done(): Promise<void> {
    return this.#done.promise
  }

  async start(): Promise<void> {
    this.#postmaster = await startPostmaster(this.#places, this.#options.clock)
    this.#loop = Promise.all([this.#run().then(this.#done.resolve, this.#done.reject), this.#boundLog()])
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    if (this.#postmaster !== null) await stopPostmaster(this.#postmaster, this.#options.clock)
    await this.#loop
  }

  async #run(): Promise<void> {
    while (this.#postmaster !== null) {
      await this.#postmaster.exited
      if (this.#stopping.signal.aborted) return
      this.#options.logger.error({ pid: this.#postmaster.pid }, 'Postgres ended by itself; starting it again')
      this.#countEnd(this.#options.clock.monotonic())
      this.#postmaster = await this.#startAgain()
    }
  }

  async #boundLog(): Promise<void> {
    for (;;) {
      await boundLogFile(this.#places.home).catch((error: unknown) => {
        this.#options.logger.warn({ error }, 'postgres.log could not be bounded')
      })
      await this.#options.clock.sleep(LOG_CHECK_MS, this.#stopping.signal)
      if (this.#stopping.signal.aborted) return
    }
  }

  /** Backends that outlive a killed postmaster hold its memory for a moment, so the first tries may fail. */
  async #startAgain(): Promise<Postmaster | null> {
    const { clock, logger } = this.#options
    for (let delayMs = RESTART_DELAY_MS; ; delayMs = Math.min(2 * delayMs, RESTART_DELAY_MS_MAX)) {
      await clock.sleep(delayMs, this.#stopping.signal)
      if (this.#stopping.signal.aborted) return null
      try {
        return await this.#startUnlessStopping()
      } catch (error) {
        logger.warn({ error }, 'Postgres did not start; trying again')
      }
    }
  }

  async #startUnlessStopping(): Promise<Postmaster | null> {
    const postmaster = await startPostmaster(this.#places, this.#options.clock)
    if (!this.#stopping.signal.aborted) return postmaster
    await stopPostmaster(postmaster, this.#options.clock)
    return null
  }

  /** One that ran and ended; a try that failed is repeated for as long as it takes. */
  #countEnd(nowMs: number): void {
    this.#ends = [...this.#ends.filter((at) => at > nowMs - 60_000), nowMs]
    if (this.#ends.length > ENDS_PER_MINUTE_MAX)
      throw new HooktrailError('STORE_POSTGRES_FAILED', { step: 'restart', restarts: this.#ends.length })
  }
}

export function socketUrl(socketDirectory: string, database: string): string {
  return `postgresql://${POSTGRES_USER}@/${database}?host=${encodeURIComponent(socketDirectory)}`
}

async function createDatabase(socketDirectory: string, logger: Logger): Promise<void> {
  await using database = openDatabase({
    url: socketUrl(socketDirectory, 'postgres'),
    connectionsMax: 1,
    applicationName: 'hooktrail-start',
    logger,
  })
  const found = await database.query('SELECT FROM pg_database WHERE datname = $1', [DATABASE])
  if (found.length === 0) await database.query(`CREATE DATABASE ${DATABASE}`)
}
