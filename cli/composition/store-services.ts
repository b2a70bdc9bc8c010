/**
 * The services that work on the database: they begin when it is prepared. Until then /health says what they wait for.
 * Stopping ends the waiting, then the dispatcher, then the archiver (which archives the last deliveries), then the log.
 */
import type { ServicesReport } from '../../api/health-routes.ts'
import type { ArchiverService } from '../../archiver/archiver-service.ts'
import { Demand } from '../../core/demand.ts'
import type { EventLog } from '../../core/ports/event-log.ts'
import type { StoreIdentity } from '../../core/ports/maintenance-store.ts'
import type { Service } from '../../core/service.ts'
import { startDispatcher } from '../../dispatcher/start-dispatcher.ts'
import type { StoreGuard } from '../../dispatcher/store-guard.ts'
import { archiveKeys, archiveReader, openArchiveStore, openUnion } from './archive-stores.ts'
import type { Context } from './context.ts'
import { anchorTargets } from './anchor-targets.ts'
import { openArchiver } from './open-archiver.ts'
import { guardedStore, openGuard } from './open-guard.ts'
import { openQueue } from './open-queue.ts'
import { openWorm } from './open-worm.ts'
import { prepareDatabase, prepareLog, waitFor, type Awaited } from './prepare-stores.ts'

export type StoreServiceName = 'dispatcher' | 'archiver'

export interface StoreServicesOptions {
  /** None of them for a process that only needs the stores prepared. */
  readonly names: readonly StoreServiceName[]
  /** Handlers that the dispatcher serves; null: all. */
  readonly serves: readonly string[] | null
  /** Called when a service cannot go on. */
  readonly onFailed: (reason: unknown) => void
}

export class StoreServices implements AsyncDisposable {
  readonly #context: Context
  readonly #options: StoreServicesOptions
  readonly #stack = new AsyncDisposableStack()
  readonly #stopping = new AbortController()
  #waitsFor = 'the database'
  #isPrepared = false
  /** Until the archive has answered once. */
  #archiverWaitsFor: string | null = null
  #began: Promise<void> = Promise.resolve()
  #archiving: Promise<void> = Promise.resolve()
  #guard: StoreGuard | null = null
  #dispatcher: Service | null = null
  #archiver: ArchiverService | null = null

  constructor(context: Context, options: StoreServicesOptions) {
    this.#context = context
    this.#options = options
  }

  /** The own Postgres runs already, and a log in it with it: then the start waits for the rest. What is elsewhere may come later. */
  async begin(): Promise<void> {
    const began = this.#begin()
    this.#began = began.catch(() => undefined)
    if (this.#context.postgres !== null && this.#context.config.log.kafka === null) await began
    else began.catch(this.#options.onFailed)
  }

  get isPrepared(): boolean {
    return this.#isPrepared
  }

  async report(): Promise<ServicesReport> {
    return {
      services: this.#options.names.map((name) => ({ name, waitingFor: this.waitingFor(name) })),
      archive: this.#archiver?.status() ?? null,
      metrics: [await this.#context.metrics.samples()],
    }
  }

  /** What `name` waits for; null when it runs. */
  waitingFor(name: string): string | null {
    if (!this.#isPrepared) return this.#waitsFor
    if (name === 'dispatcher') return this.#guard?.waitingFor() ?? this.#dispatcher?.waitingFor() ?? null
    if (name !== 'archiver') return null
    return this.#archiverWaitsFor ?? this.#archiver?.waitingFor() ?? null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    await this.#began
    await this.#archiving
    await this.#stack.disposeAsync()
  }

  async #begin(): Promise<void> {
    const identity = await this.#prepare()
    const { signal } = this.#stopping
    if (identity === null) return
    const demand = new Demand(this.#context.clock)
    const archiving = this.#beginArchiver(identity, demand)
    this.#archiving = archiving.catch(() => undefined)
    // A folder is there or refused; a bucket that does not answer holds up nobody but the archiver.
    if (this.#context.config.archive.s3 === null) await archiving
    else archiving.catch(this.#options.onFailed)
    if (this.#options.names.includes('dispatcher') && !signal.aborted) {
      const { database } = this.#context
      const { abandoned } = database
      await this.#warnWithoutKey()
      // Below the dispatcher, which reads payloads while it drains.
      const reading = this.#stack.use(new AsyncDisposableStack())
      const openArchive = archiveReader(this.#context, reading, signal)
      const log = openUnion(this.#context, reading, openArchive)
      const guard = openGuard(this.#context, reading, { log, openArchive, stopping: signal })
      this.#guard = guard
      const store = guardedStore(this.#context, guard)
      const queue = this.#stack.use(await openQueue({ ...this.#context, store }, identity.storeId))
      const doubt = (): void => {
        guard.doubt()
      }
      this.#dispatcher = this.#keep(
        await startDispatcher(this.#context.config, {
          ...{ ...this.#context, ...this.#served(), store, log, queue, demand, abandoned, doubt },
          server: () => database.server(),
          ...(this.#context.log.driver === 'kafka'
            ? { groupOffsetLog: this.#context.log, foreignLog: this.#context.log }
            : {}),
        }),
      )
    }
    this.#isPrepared = true
  }

  /** Said before it is missed. The archiver of the same process makes its key when it begins. */
  async #warnWithoutKey(): Promise<void> {
    if (this.#options.names.includes('archiver')) return
    await archiveKeys(this.#context).catch((error: unknown) => {
      this.#context.logger.warn({ err: error }, 'backlogs behind the start of the log cannot be read here')
    })
  }

  #served(): { readonly serves?: ReadonlySet<string> } {
    const { serves } = this.#options
    return serves === null ? {} : { serves: new Set(serves) }
  }

  async #beginArchiver({ archiveId }: StoreIdentity, demand: Demand): Promise<void> {
    if (!this.#options.names.includes('archiver') || this.#stopping.signal.aborted) return
    this.#archiverWaitsFor = 'the archive'
    const archive = await openArchiveStore(this.#context, this.#stack, this.#stopping.signal)
    const worm = await openWorm(this.#context, archive, this.#stack)
    const anchors = anchorTargets(this.#context, this.#stack)
    const given = { archive, anchors, demand, rememberedArchiveId: archiveId, ...worm }
    const awaited = this.#awaited('the archive', (line) => (this.#archiverWaitsFor = line))
    const archiver = await waitFor(this.#context, awaited, (context) => openArchiver(context, given))
    this.#archiverWaitsFor = null
    if (archiver !== null) this.#archiver = this.#keep(archiver)
  }

  /** A log of its own is opened whatever the database does: ingress needs nothing else. Null when stopped meanwhile. */
  async #prepare(): Promise<StoreIdentity | null> {
    const early = this.#context.config.log.kafka === null ? null : this.#openLog()
    early?.catch(() => undefined)
    const identity = await this.#openDatabase().catch(async (error: unknown) => {
      this.#stopping.abort()
      await early?.catch(() => undefined)
      throw error
    })
    const log = await (early ?? (identity === null ? null : this.#openLog()))
    return log === null ? null : identity
  }

  async #openLog(): Promise<EventLog | null> {
    const log = await waitFor(this.#context, this.#awaited('the log'), prepareLog)
    return log && this.#stack.use(log)
  }

  /** What is wrong with the own one cannot be waited out. */
  #openDatabase(): Promise<StoreIdentity | null> {
    return this.#context.postgres === null
      ? waitFor(this.#context, this.#awaited('the database'), prepareDatabase)
      : prepareDatabase(this.#context)
  }

  #awaited(name: string, onWait: Awaited['onWait'] = (line) => (this.#waitsFor = line)): Awaited {
    return { name, signal: this.#stopping.signal, onWait }
  }

  #keep<S extends Service>(service: S): S {
    service.done.catch(this.#options.onFailed)
    return this.#stack.use(service)
  }
}
