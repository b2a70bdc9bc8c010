/** Replays below /api: asked for, looked at, paused, resumed and cancelled, each action with its audit row. */
import { Readable } from 'node:stream'
import type { FastifyPluginCallback } from 'fastify'
import type { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import type { Config, SourceConfig } from '../core/config/config.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import { nearestName } from '../core/nearest-name.ts'
import type { EventLog, ForeignTopicLog, Topic } from '../core/ports/event-log.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import type { NewReplay, ReplayAction, ReplayRange } from '../core/ports/replay-store.ts'
import { createEventIds } from '../core/record/event-ids.ts'
import { createBodyDigest, createDigestKey } from '../core/record/keyed-digest.ts'
import { chosenAlone } from '../core/replay/replay-handler.ts'
import { eventTopic, sourceOfTopic } from '../core/topics.ts'
import { noticeOf } from './dead-letters.ts'
import { unknownHandler } from './known-handler.ts'
import * as query from './query.ts'
import { recordsBody, replayBody, replayQuery } from './replay-query.ts'
import { replayRanges, type RangeDeps } from './replay-ranges.ts'
import { replayLines } from './replay-records.ts'
import { defined, found, reasonOf, requiredReason } from './request-parts.ts'
import { replayJson } from './views.ts'

export interface ReplayRouteDeps {
  readonly config: Config
  readonly clock: Clock
  readonly log: RangeDeps['log'] & Pick<EventLog, 'topics'>
  readonly store: JobStore
  readonly digestKey: string
  /** Null where the log is not Kafka. */
  readonly foreignLog: ForeignTopicLog | null
}

type Asked = z.output<typeof replayBody>

const ACTIONS: readonly ReplayAction[] = ['pause', 'resume', 'cancel']

export const replayRoutes: FastifyPluginCallback<ReplayRouteDeps> = (app, deps, registered) => {
  const { config, store, clock } = deps
  const nextId = createEventIds(clock)
  const bodyDigest = createBodyDigest(createDigestKey(deps.digestKey))
  const answer = async (id: string) => {
    const replay = found(await store.getReplay(id), 'API_REPLAY_NOT_FOUND', id)
    const notice = replay.toTopic === null ? await noticeOf(store, config, [replay.handler]) : null
    return { ...replayJson(replay), notice }
  }
  app.post('/replays', async (request) => {
    const asked = query.parse(replayBody, request.body)
    const replay = await newReplay(deps, asked, nextId())
    if ((await store.createReplay(replay)) === 'too-many')
      throw new HooktrailError('API_REPLAYS_TOO_MANY', { handler: asked.handler ?? asked.to_topic })
    return answer(replay.replayId)
  })
  app.post('/replays/records', async ({ body }, reply) => {
    const asked = query.parse(recordsBody, body)
    const { filter = null, events: eventIds = null } = asked
    const source = sourceIn(
      config,
      asked.topic === undefined ? asked.source : sourceOfAsked(config, asked.topic),
    )
    const topic = await topicOf(config, deps.log, source.name)
    const ranges = await replayRanges(deps, topic, asked)
    const choice = chosenAlone({ filter, eventIds })
    const lines = replayLines({ ...deps, bodyDigest, topic, source, ranges, choice })
    return reply.type('application/x-ndjson').send(Readable.from(lines, { highWaterMark: 1 }))
  })
  app.get('/replays', async (request) => {
    const { items, next } = await store.listReplays(defined(query.parse(replayQuery, request.query)))
    return { items: items.map(replayJson), next }
  })
  app.get('/replays/:id', ({ params }) => answer(query.parse(query.idParams, params).id))
  for (const action of ACTIONS)
    app.post(`/replays/:id/${action}`, async ({ params, body }) => {
      const { id } = query.parse(query.idParams, params)
      const reason = reasonOf(body, config)
      const audit = { actor: 'token', action: `replay.${action}`, target: id, reason, details: {} }
      const result = await store.changeReplay(id, action, audit)
      if (result === 'refused') throw new HooktrailError('API_REPLAY_REFUSED', { id, action })
      return answer(id)
    })
  registered()
}

/** @throws API_HANDLER_NOT_FOUND, API_SOURCE_NOT_FOUND, API_INVALID_REQUEST, and what log and archive throw */
async function newReplay(deps: ReplayRouteDeps, asked: Asked, replayId: string): Promise<NewReplay> {
  const { config, log } = deps
  const { handler = '', filter = null, events = null, rate = null, dry_run: isDryRun } = asked
  const toTopic = asked.to_topic ?? null
  if (toTopic !== null) await requireForeign(deps, toTopic)
  const source = sourceOf(config, asked)
  const topic = await topicOf(config, log, source)
  const ranges = await replayRanges(deps, topic, asked)
  const details = {
    ...(toTopic === null ? { handler } : { to_topic: toTopic }),
    source,
    filter,
    rate,
    events: events?.length ?? null,
    ranges: ranges.map(rangeText),
  }
  const audit = {
    actor: 'token',
    action: isDryRun ? 'replay.dry_run' : 'replay.create',
    target: replayId,
    details,
  }
  return {
    ...{ replayId, handler, toTopic, source, topic: topic.name, filter, isDryRun, ranges },
    ...{ eventIds: events, perSecond: rate, asked: askedText(asked) },
    audit: { ...audit, reason: requiredReason(asked.reason, config) },
  }
}

/** @throws REPLAY_TOPIC_REFUSED */
async function requireForeign({ config, foreignLog }: ReplayRouteDeps, topic: string): Promise<void> {
  const refuse = (reason: string): never => {
    throw new HooktrailError('REPLAY_TOPIC_REFUSED', { topic, reason })
  }
  if (foreignLog === null) return refuse('the log is in Postgres, which has no topics but those of hooktrail')
  if (topic.startsWith(`${config.log.topicPrefix}.`)) refuse('it is one of hooktrail')
  if ((await foreignLog.foreignTopic(topic)) === null)
    refuse('it is not there, or internal; hooktrail makes no topics for others')
}

/** The handler's own unless another is named. */
function sourceOf(config: Config, { handler, source, topic }: Asked): string {
  if (handler === undefined)
    return sourceIn(config, topic === undefined ? source : sourceOfAsked(config, topic)).name
  const own = config.handlers.find(({ name }) => name === handler)
  if (own === undefined)
    throw unknownHandler(
      handler,
      config.handlers.map(({ name }) => name),
    )
  const asked = topic === undefined ? (source ?? own.source) : sourceOfAsked(config, topic)
  return sourceIn(config, asked).name
}

function sourceOfAsked({ log }: Config, topic: string): string {
  return sourceOfTopic(log.topicPrefix, topic) ?? topic
}

/** @throws API_SOURCE_NOT_FOUND: what is replayed is decided by the settings of its source */
function sourceIn({ sources }: Config, name = ''): SourceConfig {
  const found = sources.find((source) => source.name === name)
  if (found !== undefined) return found
  const nearest = nearestName(
    name,
    sources.map((source) => source.name),
  )
  throw new HooktrailError('API_SOURCE_NOT_FOUND', {
    source: name,
    ...(nearest === null ? {} : { did_you_mean: nearest }),
  })
}

async function topicOf(
  { log: { topicPrefix } }: Config,
  log: Pick<EventLog, 'topics'>,
  source: string,
): Promise<Topic> {
  const name = eventTopic(topicPrefix, source)
  const topic = (await log.topics()).find((each) => each.name === name)
  if (topic === undefined) throw new HooktrailError('API_SOURCE_NOT_FOUND', { source, topic: name })
  return topic
}

function rangeText({ topicId, partition, first, end }: ReplayRange): string {
  return `${topicId}/${partition} ${first} to ${end - 1n}`
}

/** As it was asked, in what JSON can hold. */
function askedText({
  from_offset: from,
  to_offset: to,
  since,
  until,
  ...asked
}: Asked): Record<string, unknown> {
  const { partition, filter, rate, events } = asked
  const time = (ms: number | undefined) => (ms === undefined ? undefined : new Date(ms).toISOString())
  const offset = (value: bigint | undefined) => value?.toString()
  const range = { from_offset: offset(from), to_offset: offset(to), since: time(since), until: time(until) }
  return defined({ partition, ...range, filter, rate, events })
}
