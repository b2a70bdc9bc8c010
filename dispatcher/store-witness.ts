/**
 * Whether the job store is the one that the log tells of. A log that is merely ahead is normal: what lies behind the
 * noted offsets is read, and a fact of this store that the store does not hold means that it travelled back. Otherwise
 * the offsets are noted, so that the next look is short.
 */
import type { EventLog, LogBounds, Topic } from '../core/ports/event-log.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import type { NotedOffset, UsedNumbers } from '../core/ports/recovery-store.ts'
import type { Fact } from '../core/recovery/fact.ts'
import { auditTopic, deliveriesTopic } from '../core/topics.ts'
import { NumbersUsed, readFacts, type Span } from '../core/recovery/fact-stream.ts'

const BATCH_FACTS_MAX = 500

export interface WitnessOptions {
  /** Log and archive as one. */
  readonly log: Pick<EventLog, 'read' | 'topics' | 'bounds'>
  readonly store: Pick<JobStore, 'notedOffsets' | 'noteOffsets' | 'absentFacts'>
  readonly topicPrefix: string
}

export interface Testimony {
  /** Facts behind the noted offsets that the store does not hold. */
  readonly absent: number
  readonly read: number
  /** Facts of other stores. */
  readonly others: number
  readonly used: UsedNumbers
}

/** Notes what it found to be whole. */
export async function hearWitness(
  options: WitnessOptions,
  storeId: string,
  signal: AbortSignal,
): Promise<Testimony> {
  const { log, store } = options
  const spans = await spansBehind(options)
  const used = new NumbersUsed()
  let [absent, read, others] = [0, 0, 0]
  let batch: Fact[] = []
  const ask = async (): Promise<void> => {
    absent += await store.absentFacts(batch)
    read += batch.length
    batch = []
  }
  for await (const fact of readFacts(spans, () => true, { log, signal })) {
    if (fact.storeId !== storeId) {
      others += 1
      continue
    }
    used.see(fact)
    batch.push(fact)
    if (batch.length >= BATCH_FACTS_MAX) await ask()
  }
  await ask()
  if (absent === 0) await store.noteOffsets(endsOf(spans))
  return { absent, read, others, used: used.numbers() }
}

/** What the log tells and nobody has noted yet, to its ends now. */
export async function spansBehind({ log, store, topicPrefix }: WitnessOptions): Promise<readonly Span[]> {
  const noted = new Map((await store.notedOffsets()).map((each) => [nameOf(each), each.next]))
  const spans: Span[] = []
  for (const { topic, topicId, partition, logStart, highWatermark } of await tellingPartitions(
    log,
    topicPrefix,
  )) {
    // A partition that nobody noted was never told of by this version: what the log still holds is looked at.
    const from = noted.get(nameOf({ topicId, partition })) ?? logStart
    spans.push({ topic, topicId, partition, from, to: highWatermark })
  }
  return spans
}

export type LogPartition = LogBounds & Omit<Span, 'from' | 'to'>

/** Partitions of deliveries and audit, with their ends now. */
export async function tellingPartitions(
  log: WitnessOptions['log'],
  topicPrefix: string,
): Promise<readonly LogPartition[]> {
  const names = new Set([deliveriesTopic(topicPrefix), auditTopic(topicPrefix)])
  return partitionsNow(log, (name) => names.has(name))
}

export async function partitionsNow(
  log: Pick<EventLog, 'topics' | 'bounds'>,
  isWanted: (topic: string) => boolean,
): Promise<readonly LogPartition[]> {
  const wanted = (await log.topics()).filter(({ name }) => isWanted(name)).flatMap(partitionsOf)
  return Promise.all(wanted.map(async (at) => ({ ...at, ...(await log.bounds(at)) })))
}

export function endsOf(spans: readonly Span[]): readonly NotedOffset[] {
  return spans.map(({ topicId, partition, to }) => ({ topicId, partition, next: to }))
}

function partitionsOf({ name: topic, id: topicId, partitions }: Topic): Omit<Span, 'from' | 'to'>[] {
  return Array.from({ length: partitions }, (_, partition) => ({ topic, topicId, partition }))
}

function nameOf({ topicId, partition }: Pick<NotedOffset, 'topicId' | 'partition'>): string {
  return `${topicId}/${partition}`
}
