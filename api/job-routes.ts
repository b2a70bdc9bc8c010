/** Jobs below /api: what became of events, and what operators do with dead letters. */
import type { FastifyPluginCallback } from 'fastify'
import type { z } from 'zod'
import type { Config } from '../core/config/config.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import type { DeadAction } from '../core/ports/dead-letter-store.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import type { JobView } from '../core/ports/operator-store.ts'
import { filterOf, noticeOf, retryAction, settleMany } from './dead-letters.ts'
import { requireHandler } from './known-handler.ts'
import * as query from './query.ts'
import { defined, found, reasonOf, requiredReason } from './request-parts.ts'
import { attemptJson, deadGroupJson, jobJson } from './views.ts'

export interface JobRouteDeps {
  readonly config: Config
  readonly store: JobStore
}

type Routes = FastifyPluginCallback<JobRouteDeps>

export const jobRoutes: Routes = (app, deps, registered) => {
  const { config, store } = deps
  const find = (params: unknown): Promise<JobView> => jobOf(store, query.parse(query.idParams, params).id)
  const attemptsOf = async ({ jobId }: JobView) => (await store.listAttempts(jobId)).map(attemptJson)
  app.get('/jobs', async (request) => {
    const asked = query.parse(query.jobQuery, request.query)
    if (asked.handler !== undefined) await requireHandler(store, config, asked.handler)
    const { items, next } = await store.listJobs(jobFilter(asked))
    return { items: items.map((job) => jobJson(job, config)), next }
  })
  app.get('/jobs/:id', async (request) => {
    const job = await find(request.params)
    const attempts = query.parse(query.jobDetailQuery, request.query).include_attempts === 'true'
    const isOver = job.state === 'completed' || job.state === 'discarded'
    const notice = isOver ? null : await noticeOf(store, config, [job.handler])
    return { ...jobJson(job, config), ...(attempts ? { attempts: await attemptsOf(job) } : {}), notice }
  })
  app.get('/jobs/:id/attempts', async ({ params }) => ({ items: await attemptsOf(await find(params)) }))
  deadLetterRoutes(app, deps, registered)
}

const deadLetterRoutes: Routes = (app, { config, store }, registered) => {
  const one = async (id: string, settling: Settling): Promise<JobView> => {
    const audit = { ...AUDITS[settling.action.kind], target: id, reason: settling.reason }
    const result = await store.settleDeadJob(id, settling.action, audit)
    if (result === 'not-dead') throw new HooktrailError('API_JOB_NOT_DEAD', { id })
    return jobOf(store, id)
  }
  app.get('/dead-letters', async (request) => {
    const { by, ...filter } = query.parse(query.deadQuery, request.query)
    const groups = await store.groupDeadJobs(await filterOf(store, config, filter), by)
    return { items: groups.map((group) => deadGroupJson(group, by)) }
  })
  app.post('/jobs/:id/retry', async ({ params, body }) => {
    const { id } = query.parse(query.idParams, params)
    const job = await one(id, { action: retryAction(config), reason: reasonOf(body, config) })
    return { ...jobJson(job, config), notice: await noticeOf(store, config, [job.handler]) }
  })
  app.post('/jobs/:id/discard', async ({ params, body }) => {
    const { id } = query.parse(query.idParams, params)
    const reason = given(query.parse(query.reasonBody, body)?.reason)
    return jobJson(await one(id, { action: { kind: 'discard' }, reason }), config)
  })
  app.post('/jobs/retry', async ({ body }) => {
    const { rate, reason: said, ...asked } = query.parse(query.retryBody, body)
    const [action, reason] = [retryAction(config, rate ?? null), requiredReason(said, config)]
    const audit = { ...AUDITS.retry, reason }
    const { dryRun, matched, settled, left, handlers } = await settleMany({
      store,
      config,
      asked,
      action,
      audit,
    })
    const notice = await noticeOf(store, config, handlers)
    return { dry_run: dryRun, matched, retried: settled, left, notice }
  })
  app.post('/jobs/discard', async ({ body }) => {
    const { reason: said, ...asked } = query.parse(query.manyBody, body)
    const reason = asked.dry_run ? (said ?? null) : given(said)
    const audit = { ...AUDITS.discard, reason }
    const action = { kind: 'discard' } as const
    const { dryRun, matched, settled, left } = await settleMany({ store, config, asked, action, audit })
    return { dry_run: dryRun, matched, discarded: settled, left }
  })
  registered()
}

interface Settling {
  readonly action: DeadAction
  readonly reason: string | null
}

const AUDITS = {
  retry: { actor: 'token', action: 'job.retry', details: {} },
  discard: { actor: 'token', action: 'job.discard', details: {} },
} as const

/** Who gives an event up says why, whatever the configuration asks of others. @throws API_REASON_REQUIRED */
function given(reason: string | undefined): string {
  if (reason === undefined) throw new HooktrailError('API_REASON_REQUIRED')
  return reason
}

/** @throws API_JOB_NOT_FOUND */
async function jobOf(store: JobStore, id: string): Promise<JobView> {
  return found(await store.getJob(id), 'API_JOB_NOT_FOUND', id)
}

function jobFilter({
  status,
  event_type: eventType,
  since,
  until,
  ...rest
}: z.output<typeof query.jobQuery>) {
  return defined({ ...rest, state: status, eventType, sinceMs: since, untilMs: until })
}
