/**
 * A log in Postgres that was put back to an older copy with its database: topics that end before what was signed of them
 * get another incarnation, and their chains are closed with the loss. In this order: the job store stops first, so that
 * nothing is delivered by an older copy; then what was read of the log that is gone is committed, and with it told to
 * whoever makes the store whole; then the chain is closed; then the topic goes on under another id, which makes the steps
 * before it look done, and behind which nothing is added to the old chain. A crash in between is met by the same look at
 * the next start.
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
  /** Commits what is buffered. */
  readonly flush: () => Promise<void>
}

/** @returns how many topics got another incarnation */
export async function replaceTravelled(travelled: TravelledLog, signal: AbortSignal): Promise<number> {
  const { context, chain, store, topicPrefix, flush } = travelled
  await chain.catchUp()
  const source = { store: context.archive, keys: context.keys.verifiers }
  using range = new ArchiveRange({ openSource: () => Promise.resolve(source), clock: context.clock })
  const archived = { read: (request: Parameters<ArchiveRange['read']>[0]) => range.read(request, null) }
  const witness = { log: context.log, readArchived: archived.read }
  const ends = await readSignedEnds(source)
  const found = await travelledTopics(witness, ends)
  if (found.length === 0) return 0
  const names = found.map(({ topic }) => topic.name)
  const used = await numbersArchived({ store, ends, topicPrefix }, archived, signal)
  if (await store.beginRecovery(used, { topics: names }))
    context.logger.error(
      { topics: names },
      'the log has travelled back with its database: the archive holds more of it',
    )
  if ((await store.storeState()).state !== 'recovering') return 0
  await flush()
  // What was just committed may be in the copy as well.
  const server = context.server?.() ?? null
  const topics = await travelledTopics(witness, await readSignedEnds(source))
  for (const topic of topics) await replace(travelled, topic, server)
  return topics.length
}

async function replace(
  { context, chain, log }: TravelledLog,
  { topic, keptFrom }: TravelledTopic,
  server: string | null,
): Promise<void> {
  for (let partition = 0; partition < topic.partitions; partition++) {
    const row = chain.row({ topic: topic.name, topicId: topic.id, partition })
    if (row !== null) await closeChain(context, row, 'log-travelled-back')
  }
  try {
    await log.replaceTopic(topic.id, keptFrom, server)
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
