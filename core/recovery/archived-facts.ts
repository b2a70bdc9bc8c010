/** What the archive tells of the job store beyond what the store has noted, whatever became of the log. */
import type { SignedEnd } from '../archive/range/signed-ends.ts'
import type { EventLog, TopicId } from '../ports/event-log.ts'
import type { RecoveryStore, UsedNumbers } from '../ports/recovery-store.ts'
import { auditTopic, deliveriesTopic } from '../topics.ts'
import { NumbersUsed, readFacts, type Span } from './fact-stream.ts'

export interface ArchivedFacts {
  readonly store: Pick<RecoveryStore, 'notedOffsets'>
  readonly ends: readonly SignedEnd[]
  readonly topicPrefix: string
}

/** @param ids of topics */
export async function archivedSpans(
  { store, ends, topicPrefix }: ArchivedFacts,
  ids: ReadonlySet<TopicId>,
): Promise<readonly Span[]> {
  const names = new Set([deliveriesTopic(topicPrefix), auditTopic(topicPrefix)])
  const noted = await store.notedOffsets()
  return ends
    .filter(({ topic, topicId }) => names.has(topic) && ids.has(topicId))
    .map(({ topic, topicId, partition, archivedTo: to }) => {
      const from = noted.find((each) => each.topicId === topicId && each.partition === partition)?.next ?? 0n
      return { topic, topicId, partition, from, to }
    })
}

/** That facts of the archive use. @param log of the archive alone */
export async function numbersArchived(
  facts: ArchivedFacts,
  log: Pick<EventLog, 'read'>,
  signal: AbortSignal,
): Promise<UsedNumbers> {
  const used = new NumbersUsed()
  const spans = await archivedSpans(facts, new Set(facts.ends.map(({ topicId }) => topicId)))
  const noted = new Set((await facts.store.notedOffsets()).map(({ topicId }) => topicId))
  // A chain that nobody noted is of a time before this store began.
  const own = spans.filter(({ topicId }) => noted.has(topicId))
  for await (const fact of readFacts(own, () => true, { log, signal })) used.see(fact)
  return used.numbers()
}
