/** Everything below /api, behind the token. */
import { Readable } from 'node:stream'
import type { FastifyPluginCallback } from 'fastify'
import type { z } from 'zod'
import { answerUnknownRoutes } from '../adapters/http/unknown-routes.ts'
import type { Clock } from '../core/clock.ts'
import type { Config } from '../core/config/config.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import type { Logger } from '../core/log.ts'
import type { ArchiveStore } from '../core/ports/archive-store.ts'
import type { EventLog } from '../core/ports/event-log.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import type { EventView } from '../core/ports/operator-store.ts'
import type { ReportStore } from '../core/ports/report-store.ts'
import { ArchiveChains } from './archive-chains.ts'
import { exportLines } from './export-lines.ts'
import { handlerRoutes } from './handler-routes.ts'
import { holdRoutes } from './hold-routes.ts'
import { jobRoutes } from './job-routes.ts'
import { requireSource } from './known-source.ts'
import { createErrorHandler } from './problem.ts'
import { replayRoutes, type ReplayRouteDeps } from './replay-routes.ts'
import * as query from './query.ts'
import { readEvent, requireEvent } from './read-payload.ts'
import { makeReport } from './report.ts'
import { reportJson } from './report-json.ts'
import { ReportQueue } from './report-queue.ts'
import { defined, found } from './request-parts.ts'
import { createTokenCheck } from './token-check.ts'
import { eventJson, evidenceJson, jobJson } from './views.ts'

export interface ApiDeps {
  readonly config: Config
  readonly clock: Clock
  /** Log and archive as one. */
  readonly log: EventLog & ReplayRouteDeps['log']
  readonly foreignLog: ReplayRouteDeps['foreignLog']
  readonly store: JobStore
  readonly report: ReportStore
  /** For the report. Null while there is no archive that this process can read. */
  readonly openArchive: () => Promise<ArchiveStore | null>
  readonly logger: Logger
  readonly apiToken: string
  readonly digestKey: string
}

type Routes = FastifyPluginCallback<ApiDeps>

const JOBS_OF_EVENT_MAX = 1000

export const apiRoutes: Routes = (app, deps, registered) => {
  const isAllowed = createTokenCheck(deps.apiToken)
  app.setErrorHandler(createErrorHandler(deps.logger))
  app.addHook('onRequest', (request, _reply, done) => {
    done(isAllowed(request.headers.authorization) ? undefined : new HooktrailError('API_UNAUTHORIZED'))
  })
  answerUnknownRoutes(app)
  eventRoutes(app, deps, () => undefined)
  jobRoutes(app, deps, () => undefined)
  handlerRoutes(app, deps, () => undefined)
  replayRoutes(app, deps, () => undefined)
  holdRoutes(app, deps, () => undefined)
  otherRoutes(app, deps, () => undefined)
  registered()
}

const eventRoutes: Routes = (app, { config, store, log }) => {
  const payloads = { log }
  const find = async (params: unknown): Promise<EventView> => {
    const { id } = query.parse(query.idParams, params)
    return found(await store.getEvent(id), 'API_NOT_FOUND', id)
  }
  const jobsOf = async (eventId: string) =>
    (await store.listJobs({ eventId, limit: JOBS_OF_EVENT_MAX })).items.map((job) => jobJson(job, config))
  app.get('/events', async (request) => {
    const asked = query.parse(query.eventQuery, request.query)
    await requireSource(log, config, asked.source)
    const { items, next } = await store.listEvents(eventFilter(asked))
    return { items: items.map(eventJson), next }
  })
  app.get('/events/:id', async ({ params }) => {
    const event = await find(params)
    const read = await readEvent(payloads, event)
    const body = read?.event.body
    return {
      ...eventJson(event),
      payload_base64: body?.toString('base64') ?? null,
      payload: body?.toString('utf8') ?? null,
      tier: read?.tier ?? null,
      ...evidenceJson(read?.event ?? null),
      jobs: await jobsOf(event.eventId),
    }
  })
  app.get('/events/:id/raw', async ({ params }, reply) => {
    const { body } = await requireEvent(payloads, await find(params))
    // Never the sender's own content type: its bytes must not become a page of this origin.
    return reply.type('application/octet-stream').header('x-content-type-options', 'nosniff').send(body)
  })
  app.get('/events/:id/jobs', async ({ params }) => ({ items: await jobsOf((await find(params)).eventId) }))
}

const otherRoutes: Routes = (app, { config, clock, store, log, report, openArchive }) => {
  const chains = new ArchiveChains()
  const reports = new ReportQueue(clock, (window, signal) =>
    makeReport({ report, chains, openArchive, log, topicPrefix: config.log.topicPrefix }, window, signal),
  )
  app.get('/config', () => ({ generation: config.generation, config: config.redacted }))
  app.get('/report', async (request, reply) => {
    const { since, until } = query.parse(query.windowQuery, request.query)
    const window = { sinceMs: since ?? null, untilMs: until ?? null }
    const gone = new AbortController()
    reply.raw.once('close', () => {
      gone.abort()
    })
    return reportJson(await reports.ask(window, gone.signal))
  })
  app.get('/export/events', async (request, reply) => {
    const { since, until, source, limit: max } = query.parse(query.exportQuery, request.query)
    await requireSource(log, config, source)
    const filter = defined({ source, sinceMs: since, untilMs: until, max })
    const lines = exportLines({ log, store }, filter)
    // One string ahead: each holds thousands of lines.
    return reply.type('application/x-ndjson').send(Readable.from(lines, { highWaterMark: 1 }))
  })
}

function eventFilter({ source, type, since, until, cursor, limit }: z.output<typeof query.eventQuery>) {
  return defined({ source, type, sinceMs: since, untilMs: until, cursor, limit })
}
