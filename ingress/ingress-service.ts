/**
 * The ingress as a service. It needs the log and nothing else, and not even that to start: while the log is down
 * requests are answered 503 with Retry-After, and the topics are made as soon as it answers.
 */
import type { FastifyPluginCallback } from 'fastify'
import type { Clock } from '../core/clock.ts'
import type { Config } from '../core/config/config.ts'
import { isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { Logger } from '../core/log.ts'
import type { EventLog, Topic } from '../core/ports/event-log.ts'
import type { Metrics } from '../core/ports/metrics.ts'
import type { SchemaRegistry } from '../core/ports/schema-registry.ts'
import { createEventIds } from '../core/record/event-ids.ts'
import { createDigestKey } from '../core/record/keyed-digest.ts'
import type { Service } from '../core/service.ts'
import { auditTopic, eventTopic, rejectedTopic, topicSpecs } from '../core/topics.ts'
import { Appender } from './appender.ts'
import { Deadlines } from './deadlines.ts'
import { DedupWindow } from './dedup-window.ts'
import { DiskGuard } from './disk-guard.ts'
import { DuplicateSummary } from './duplicate-summary.ts'
import { ingressRoutes } from './ingress-routes.ts'
import { Maintenance } from './maintenance.ts'
import { Receiver } from './receiver.ts'
import { Rejections } from './rejections.ts'
import { SchemaChecks } from './schema-checks.ts'
import { SourceIntake } from './source-intake.ts'

/** A log that was down at start does not keep the process out of the balancer for longer. */
const READY_WITHOUT_LOG_MS = 10_000

export interface IngressDeps {
  readonly log: EventLog
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
  /** Null only where no digest key is configured and none was made: then the start is refused by its owner. */
  readonly digestKey: string
  /** Null: none is configured. Closed by who opened it. */
  readonly schemaRegistry: SchemaRegistry | null
  /** One for each process; default: one of its own. */
  readonly nextId?: () => string
}

export interface Ingress extends Service {
  /** For the server that the process composes. */
  readonly routes: FastifyPluginCallback
  /** Listener up, and the log answered once or ten seconds passed; false again while stopping. */
  ready(): boolean
}

/** Resolves when the log was asked for its topics once, and the registry for its schemas, so that a first request need not wait. @throws INGRESS_SECRET_INVALID */
export async function startIngress(config: Config, deps: IngressDeps): Promise<Ingress> {
  const ingress = new IngressService(config, deps)
  await ingress.looked
  return ingress
}

class IngressService implements Ingress {
  readonly routes: FastifyPluginCallback
  readonly done: Promise<void>
  readonly #clock: Clock
  readonly #stop = new AbortController()
  readonly #appender: Appender
  readonly #receiver: Receiver
  readonly #maintenance: Maintenance
  readonly #schemas: SchemaChecks
  readonly #startedAtMs: number
  readonly #drainMsMax: number
  #listening = false
  #stopped: Promise<void> | null = null

  constructor(config: Config, deps: IngressDeps) {
    const { log, clock, logger, metrics } = deps
    this.#clock = clock
    this.#startedAtMs = clock.monotonic()
    this.#drainMsMax = Math.max(1000, ...config.sources.map(({ deadlineMs }) => deadlineMs))
    const topics = new Map<string, Topic>()
    const topicOf = (name: string): Topic | null => topics.get(name) ?? null
    const nextId = deps.nextId ?? createEventIds(clock)
    const appender = new Appender(log, metrics, clock)
    const deadlines = new Deadlines(clock)
    const prefix = config.log.topicPrefix
    const disk = new DiskGuard(log, config.log.disk, logger)
    const summary = new DuplicateSummary(appender, () => topicOf(auditTopic(prefix)), clock.now())
    const maintenance = new Maintenance({
      log,
      specs: topicSpecs(config),
      topics,
      disk,
      summary,
      clock,
      logger,
    })
    const rejected = (): Topic | null => topicOf(rejectedTopic(prefix))
    this.#appender = appender
    this.#maintenance = maintenance
    this.#schemas = new SchemaChecks(config.sources, { registry: deps.schemaRegistry, clock, logger })
    this.#receiver = new Receiver({
      ...{ topicOf, appender, deadlines, disk, summary, clock, logger, metrics, nextId },
      intakes: intakesOf(config, deps.digestKey, this.#schemas),
      window: new DedupWindow(),
      rejections: new Rejections({ appender, topic: rejected, clock, logger, metrics, nextId }),
      inFlightBytesMax: config.server.inFlightBytesMax,
      onAppendFailed: (error) => {
        if (isHooktrailError(error, 'LOG_TOPIC_REPLACED')) topics.clear()
        logger.warn({ err: error }, 'the log did not acknowledge an append')
      },
    })
    this.routes = ingressRoutes({
      receiver: this.#receiver,
      onListen: () => {
        this.#listening = true
      },
    })
    const { signal } = this.#stop
    this.done = Promise.all([deadlines.run(signal), maintenance.run(signal), this.#schemas.run(signal)]).then(
      () => undefined,
    )
    this.done.catch((error: unknown) => {
      logger.error({ err: error }, 'the ingress cannot go on')
    })
  }

  get looked(): Promise<unknown> {
    return Promise.all([this.#maintenance.looked, this.#schemas.looked])
  }

  ready(): boolean {
    if (this.#stopped !== null || !this.#listening) return false
    const waited = this.#clock.monotonic() - this.#startedAtMs >= READY_WITHOUT_LOG_MS
    return waited || this.#maintenance.logAnswered || this.#appender.answered
  }

  waitingFor(): string | null {
    if (!this.#maintenance.logAnswered) return 'the log has not answered yet: answering 503'
    return this.#schemas.waitingFor()
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#drain()
    return this.#stopped
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /** Requests that wait are still answered by the log or by their deadline; then the loops end. */
  async #drain(): Promise<void> {
    this.#receiver.refuseAll()
    const enough = new AbortController()
    const written = this.#maintenance.finish().then(() => this.#appender.drained())
    await Promise.race([written, this.#clock.sleep(this.#drainMsMax, enough.signal)])
    enough.abort()
    this.#stop.abort()
    await this.done
  }
}

function intakesOf(
  config: Config,
  digestKey: string,
  schemas: SchemaChecks,
): ReadonlyMap<string, SourceIntake> {
  const deps = { digestKey: createDigestKey(digestKey), generation: config.generation }
  return new Map(
    config.sources.map((source) => [
      source.name,
      new SourceIntake(source, {
        ...deps,
        topicName: eventTopic(config.log.topicPrefix, source.name),
        check: schemas.of(source.name),
      }),
    ]),
  )
}
