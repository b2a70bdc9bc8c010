/**
 * A log in Postgres that was put back to an older copy with its database: topics that end before what was signed of them
 * get another incarnation, and their chains are closed with the loss. In this order: the job store stops first, so that
 * nothing is delivered by an older copy; then the chain is closed; then the topic goes on under another id, which makes
 * the step before it look done. A crash in between is met by the same look at the next start.
 */
import { ArchiveRange } from '../core/archive/range/archive-range.ts'
import { readSignedEnds } from '../core/archive/range/signed-ends.ts'
import { isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { ReplaceableLog } from '../core/ports/event-log.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import { numbersArchived } from '../core/recovery/archived-facts.ts'
import { travelledTopics, type TravelledTopic } from '../core/recovery/travelled-log.ts'
import type { ArchiverContext } from './archiver-context.ts'
import { closeChain } from './close-chain.ts'
import type { HeartbeatChain } from './heartbeat-chain.ts'

export interface TravelledLog {
  readonly context: ArchiverContext
  readonly chain: HeartbeatChain
  readonly log: ReplaceableLog
  readonly store: JobStore
  readonly topicPrefix: string
}

/** @returns how many topics got another incarnation */
export async function replaceTravelled(travelled: TravelledLog, signal: AbortSignal): Promise<number> {
  const { context, chain, store, topicPrefix } = travelled
  await chain.catchUp()
  const source = { store: context.archive, keys: context.keys.verifiers }
  const ends = await readSignedEnds(source)
  using range = new ArchiveRange({ openSource: () => Promise.resolve(source), clock: context.clock })
  const archived = { read: (request: Parameters<ArchiveRange['read']>[0]) => range.read(request, null) }
  const topics = await travelledTopics({ log: context.log, readArchived: archived.read }, ends)
  if (topics.length === 0) return 0
  const names = topics.map(({ topic }) => topic.name)
  const used = await numbersArchived({ store, ends, topicPrefix }, archived, signal)
  if (await store.beginRecovery(used, { topics: names }))
    context.logger.error(
      { topics: names },
      'the log has travelled back with its database: the archive holds more of it',
    )
  if ((await store.storeState()).state !== 'recovering') return 0
  for (const topic of topics) await replace(travelled, topic)
  return topics.length
}

async function replace(
  { context, chain, log }: TravelledLog,
  { topic, keptFrom }: TravelledTopic,
): Promise<void> {
  for (let partition = 0; partition < topic.partitions; partition++) {
    const row = chain.row({ topic: topic.name, topicId: topic.id, partition })
    if (row !== null) await closeChain(context, row, 'log-travelled-back')
  }
  try {
    await log.replaceTopic(topic.id, keptFrom)
  } catch (error) {
    // Another archiver was first.
    if (!isHooktrailError(error, 'LOG_TOPIC_REPLACED')) throw error
    return
  }
  context.logger.error(
    { topic: topic.name, from: keptFrom.map(String) },
    'a topic goes on in another incarnation with what it holds from these offsets on; what lies before is archived',
  )
}
