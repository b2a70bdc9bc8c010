/**
 * What /health answers. One cheap statement, one question to the log and a few looks at the archive, taken at most once a second however often
 * somebody asks, and given up after a bound: a slow database must not look like a dead process. One look at a time, and
 * the statement that was given up is ended: nothing piles up behind a database or an archive that hangs.
 */
import type { Clock } from '../core/clock.ts'
import type { Config } from '../core/config/config.ts'
import { within } from '../core/deadline.ts'
import type { Logger } from '../core/log.ts'
import type { ArchiveStore } from '../core/ports/archive-store.ts'
import type { EventLog } from '../core/ports/event-log.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import type { HandlerStanding, ReportStore } from '../core/ports/report-store.ts'
import { NewestHeartbeat } from './newest-heartbeat.ts'
import { marginSeconds, verdictOf, type ArchiveFacts, type ServiceState } from './verdict.ts'

const FRESH_MS = 1_000
const WAIT_MS_MAX = 2_000
/** A late heartbeat is no trouble yet. */
const HEARTBEATS_LATE_MAX = 3

/** What the archiver says about itself. */
export interface ArchiveHealth {
  readonly archiveId: string
  readonly location: string
  /** Null while it is not known. */
  readonly lagSeconds: number | null
  readonly lastHeartbeat: {
    readonly n: string
    readonly createdAt: string
    readonly ageSeconds: number
    /** What it says of the deletion lock. */
    readonly worm: string
  } | null
  readonly halted: readonly { readonly topic: string; readonly partition: number; readonly reason: string }[]
  readonly chainFault: string | null
}

/** What the services of the process say about themselves. */
export interface ServicesHealth {
  readonly services: readonly ServiceState[]
  /** Null in a process without an archiver: then the archive itself is looked at. */
  readonly archive: ArchiveHealth | null
}

export interface HealthSources {
  readonly config: Config
  readonly store: JobStore
  readonly log: Pick<EventLog, 'topics'>
  readonly report: ReportStore
  readonly clock: Clock
  readonly logger: Logger
  readonly services: () => Promise<ServicesHealth>
  readonly openArchive: () => Promise<ArchiveStore | null>
}

interface Facts {
  readonly services: readonly ServiceState[]
  readonly handlers: readonly HandlerStanding[] | null
  readonly logAnswers: boolean
  readonly archive: ArchiveHealth | null
}

export class Health {
  readonly #sources: HealthSources
  readonly #configured: ReadonlySet<string>
  readonly #heartbeats = new NewestHeartbeat()
  #facts: Promise<Facts> | null = null
  #readAt = -Infinity
  #isReading = false
  #archiveLook: Promise<ArchiveHealth | null> | null = null
  #logLook: Promise<unknown> | null = null

  constructor(sources: HealthSources) {
    this.#sources = sources
    this.#configured = new Set(sources.config.handlers.map(({ name }) => name))
  }

  async answer(): Promise<Record<string, unknown>> {
    const { config } = this.#sources
    const { services, handlers, logAnswers, archive } = await this.#freshFacts()
    const retentionSeconds = config.log.retentionMs / 1000
    const archiveFacts = archive === null ? null : factsOf(archive)
    const late = HEARTBEATS_LATE_MAX * config.archive.heartbeatMs
    const verdict = verdictOf({
      storeAnswers: handlers !== null,
      logAnswers,
      isLogApart: config.log.kafka !== null,
      services,
      handlers: handlers ?? [],
      configured: this.#configured,
      archive: archiveFacts,
      retentionSeconds,
      heartbeatSecondsMax: (config.archive.idleHeartbeatMs + late) / 1000,
    })
    const waits = (wanted: string): boolean =>
      services.some(({ name, waitingFor }) => name === wanted && waitingFor !== null)
    return {
      verdict,
      dependencies: {
        database: handlers === null ? 'down' : 'ok',
        log: logAnswers ? 'ok' : 'down',
        archive: archive === null ? 'unknown' : waits('archiver') ? 'waiting' : 'ok',
      },
      services: services.map(({ name, waitingFor }) => ({ name, waiting_for: waitingFor })),
      generation: config.generation,
      handlers:
        handlers?.map((row) => ({ ...handlerJson(row), configured: this.#configured.has(row.handler) })) ??
        null,
      archive:
        archive === null ? null : archiveJson(archive, marginSeconds(archiveFacts, { retentionSeconds })),
    }
  }

  #freshFacts(): Promise<Facts> {
    const now = this.#sources.clock.monotonic()
    if (this.#facts === null || (!this.#isReading && now - this.#readAt >= FRESH_MS)) {
      this.#readAt = now
      this.#facts = this.#read()
    }
    return this.#facts
  }

  async #read(): Promise<Facts> {
    this.#isReading = true
    try {
      const { services, archive: own } = await this.#sources.services()
      const [handlers, topics, archive] = await Promise.all([
        this.#orNull((signal) => this.#sources.report.standings(signal)),
        this.#orNull(() => this.#lookAtLog()),
        own ?? this.#orNull(() => this.#lookAtArchive()),
      ])
      return { services, handlers, logAnswers: topics !== null, archive }
    } finally {
      this.#isReading = false
    }
  }

  /** Null when it failed or took too long: that is what /health is there to say. */
  async #orNull<T>(read: (signal: AbortSignal) => Promise<T>): Promise<T | null> {
    const { clock, logger } = this.#sources
    try {
      return (await within(read, { ms: WAIT_MS_MAX, clock }))?.value ?? null
    } catch (error) {
      logger.debug({ err: error }, 'a dependency did not answer /health')
      return null
    }
  }

  /** A look that hangs is waited for again: the file system cannot be told to give it up. */
  #lookAtArchive(): Promise<ArchiveHealth | null> {
    this.#archiveLook ??= this.#archiveState().finally(() => {
      this.#archiveLook = null
    })
    return this.#archiveLook
  }

  /** As above: what hangs is bounded by the log's own limits. */
  #lookAtLog(): Promise<unknown> {
    this.#logLook ??= this.#sources.log.topics().finally(() => {
      this.#logLook = null
    })
    return this.#logLook
  }

  async #archiveState(): Promise<ArchiveHealth | null> {
    const { openArchive, clock } = this.#sources
    const store = await openArchive()
    const newest = store === null ? null : await this.#heartbeats.read(store)
    if (store === null || newest === null) return null
    const { n, archiveId, createdAt, worm } = newest
    const ageSeconds = Math.max(0, clock.now() - Date.parse(createdAt)) / 1000
    const lastHeartbeat = { n, createdAt, ageSeconds, worm }
    return {
      archiveId,
      location: store.location,
      lagSeconds: null,
      lastHeartbeat,
      halted: [],
      chainFault: null,
    }
  }
}

function factsOf({ lagSeconds, lastHeartbeat, halted, chainFault }: ArchiveHealth): ArchiveFacts {
  return { lagSeconds, heartbeatAgeSeconds: lastHeartbeat?.ageSeconds ?? null, halted, chainFault }
}

function archiveJson(archive: ArchiveHealth, margin: number | null) {
  const { archiveId, location, lagSeconds, lastHeartbeat, halted, chainFault } = archive
  return {
    ...{
      id: archiveId,
      location,
      lag_seconds: lagSeconds,
      margin_seconds: margin,
      halted,
      chain_fault: chainFault,
    },
    last_heartbeat:
      lastHeartbeat === null
        ? null
        : {
            n: lastHeartbeat.n,
            created_at: lastHeartbeat.createdAt,
            age_seconds: lastHeartbeat.ageSeconds,
            worm: lastHeartbeat.worm,
          },
  }
}

function handlerJson(standing: HandlerStanding) {
  const { handler, source, status, statusReason, lagRecords, dueForMs, lastError, unservedForMs } = standing
  const { available, running, retryable, dead, breaker, breakerReason, breakerForMs } = standing
  return {
    ...{ handler, source, status, status_reason: statusReason, lag_records: lagRecords },
    ...{ available, running, retryable, dead, last_error: lastError },
    // One that waits for its time is not due.
    oldest_due_seconds: dueForMs === null || dueForMs < 0 ? null : dueForMs / 1000,
    unserved_seconds: unservedForMs === null ? null : unservedForMs / 1000,
    ...{ breaker, breaker_reason: breakerReason },
    breaker_seconds: breakerForMs === null ? null : breakerForMs / 1000,
  }
}
