/**
 * Legal holds below /api/archive: what is under one, what is to be, and its end, which needs a second token. The request
 * commits with its audit row; an archiver signs it and holds the objects, so that no API needs a key or rights on the bucket.
 */
import type { FastifyPluginCallback } from 'fastify'
import { ulid } from 'ulid'
import type { z } from 'zod'
import type { HoldRange } from '../core/archive/holds.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import { nearestName } from '../core/nearest-name.ts'
import type { EventLog } from '../core/ports/event-log.ts'
import type { HoldView } from '../core/ports/hold-store.ts'
import { eventTopic } from '../core/topics.ts'
import type { JobRouteDeps } from './job-routes.ts'
import { requireSource } from './known-source.ts'
import * as query from './query.ts'
import { defined, found } from './request-parts.ts'
import { createTokenCheck } from './token-check.ts'

export interface HoldRouteDeps extends JobRouteDeps {
  readonly log: EventLog
}

type Asked = z.output<typeof query.holdBody>

export const holdRoutes: FastifyPluginCallback<HoldRouteDeps> = (app, deps, registered) => {
  const { config, store } = deps
  app.get('/archive/holds', async (request) => {
    const asked = query.parse(query.holdQuery, request.query)
    if (asked.cursor !== undefined && (await store.getHold(asked.cursor)) === null)
      throw new HooktrailError('API_INVALID_REQUEST', { faults: ['cursor: is no next of this list'] })
    const { items, next } = await store.listHolds(defined(asked))
    return { items: items.map(holdJson), next }
  })
  app.post('/archive/holds', async ({ body }, reply) => {
    if (config.archive.worm === 'off') throw new HooktrailError('API_HOLD_WITHOUT_LOCK')
    const asked = query.parse(query.holdBody, body)
    const { range, eventId } = await rangeOf(deps, asked)
    const holdId = ulid()
    const request = { holdId, action: 'hold' as const, range, eventId, reason: asked.reason }
    await store.requestHold(request, auditOf('archive.hold', request))
    const notice = await noticeOf(deps, range)
    return reply.status(202).send({ ...(await viewOf(deps, holdId)), notice })
  })
  app.post('/archive/holds/:id/release', async ({ params, body }, reply) => {
    const { id } = query.parse(query.idParams, params)
    const asked = query.parse(query.releaseBody, body)
    const { releaseToken } = config.api
    if (releaseToken === null || !createTokenCheck(releaseToken)(`Bearer ${asked.release_token}`))
      throw new HooktrailError('API_RELEASE_REFUSED', { id })
    await viewOf(deps, id)
    const request = {
      holdId: id,
      action: 'release' as const,
      range: null,
      eventId: null,
      reason: asked.reason,
    }
    // Repeated, it is the release that there is already.
    await store.requestHold(request, auditOf('archive.release', request))
    return reply.status(202).send(await viewOf(deps, id))
  })
  registered()
}

async function rangeOf(
  { config, store, log }: HoldRouteDeps,
  { event_id, source, ...asked }: Asked,
): Promise<{ readonly range: HoldRange; readonly eventId: string | null }> {
  if (event_id !== undefined) {
    const event = found(await store.getEvent(event_id), 'API_NOT_FOUND', event_id)
    const { topic, topicId, partition } = event
    const offset = String(event.offset)
    return { range: { topic, topic_id: topicId, partition, from: offset, to: offset }, eventId: event_id }
  }
  if (source !== undefined) await requireSource(log, config, source)
  const topic = source === undefined ? (asked.topic ?? '') : eventTopic(config.log.topicPrefix, source)
  return {
    range: {
      ...{ topic, topic_id: null, partition: asked.partition ?? null },
      ...{ from: asked.from_offset ?? '0', to: asked.to_offset ?? null },
    },
    eventId: null,
  }
}

/**
 * A misspelt topic would look like a hold in force and keep nothing. It is told and not refused: what the archive has of
 * a topic that the log has forgotten may be held as well.
 */
async function noticeOf(
  { log }: HoldRouteDeps,
  { topic: name, partition }: HoldRange,
): Promise<string | null> {
  const topics = await log.topics()
  const topic = topics.find((each) => each.name === name)
  if (topic !== undefined && (partition ?? 0) < topic.partitions) return null
  const nearest = nearestName(
    name,
    topics.map((each) => each.name),
  )
  const missing =
    topic === undefined
      ? `the log has no topic ${name}`
      : `${name} has ${topic.partitions} partitions, counted from 0`
  const meant = topic === undefined && nearest !== null ? `; did you mean ${nearest}?` : ''
  return `${missing}${meant}: nothing is held but what the archive may have of it`
}

function auditOf(
  action: string,
  {
    holdId,
    reason,
    range,
    eventId,
  }: {
    readonly holdId: string
    readonly reason: string
    readonly range: HoldRange | null
    readonly eventId: string | null
  },
) {
  return { actor: 'token', action, target: holdId, reason, details: { range, event_id: eventId } }
}

/** @throws API_HOLD_NOT_FOUND */
async function viewOf({ store }: HoldRouteDeps, id: string): Promise<Readonly<Record<string, unknown>>> {
  return holdJson(found(await store.getHold(id), 'API_HOLD_NOT_FOUND', id))
}

function holdJson({ holdId, range, eventId, reason, requestedAtMs, noteN, release }: HoldView) {
  const isOver = release !== null && release.noteN !== null
  return {
    id: holdId,
    state: isOver
      ? 'released'
      : release !== null
        ? 'release-requested'
        : noteN === null
          ? 'requested'
          : 'in-force',
    ...range,
    event_id: eventId,
    reason,
    requested_at: new Date(requestedAtMs).toISOString(),
    note: noteN === null ? null : String(noteN),
    release_reason: release?.reason ?? null,
    release_note: release?.noteN ?? null,
  }
}
