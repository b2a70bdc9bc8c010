/**
 * Makes a job store whole from facts (delivery §8), while nothing is taken or planned: plan steps first, so that jobs are
 * there and positions stand where planning goes on; then attempts and operators' actions in the order of their times;
 * then the store may go on, above all numbers that were told. A crash anywhere leaves it recovering, and the next try
 * meets what was applied and passes over it. With spans from the beginning the same brings back a store that was lost.
 */
import { setTimeout as turn } from 'node:timers/promises'
import type { HandlerConfig, SourceConfig } from '../core/config/config.ts'
import { retryDelayMs } from '../core/delivery/retry-delay.ts'
import { isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { Logger } from '../core/log.ts'
import { cutRead } from '../core/plan/cut-read.ts'
import { planTold } from '../core/plan/told-step.ts'
import type { EventLog, LogRecord, OffsetGap, TopicId } from '../core/ports/event-log.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import { INDEX_HANDLER } from '../core/ports/plan-store.ts'
import type { TimedFact } from '../core/ports/recovery-store.ts'
import { isObject } from '../core/record/parse-header.ts'
import type { Fact, RowFact, StepFact } from '../core/recovery/fact.ts'
import { replayIdOf } from '../core/replay/replay-name.ts'
import { sourceOfTopic } from '../core/topics.ts'
import { NumbersUsed, readFacts, readSpan, type Span } from '../core/recovery/fact-stream.ts'
import { endsOf, partitionsNow } from './store-witness.ts'

/** In one transaction. */
const BATCH_FACTS_MAX = 200
/** Of a source that the configuration does not have any more. */
const WINDOW_MS_DEFAULT = 30 * 24 * 3_600_000
/** Of a handler that it does not have: nobody delivers its jobs. */
const ATTEMPTS_MAX_DEFAULT = 1
/** Written where a handler registers (adapters/postgres/job-store/plan.ts). */
export const HANDLER_STARTED = 'handler_started'

export interface RecoveryOptions {
  /** Log and archive as one. */
  readonly log: Pick<EventLog, 'read' | 'topics' | 'bounds'>
  readonly store: Pick<JobStore, 'recoverPosition' | 'recoverStep' | 'recoverFacts' | 'endRecovery'>
  readonly topicPrefix: string
  readonly sources: readonly SourceConfig[]
  readonly handlers: readonly HandlerConfig[]
  readonly bodyDigest: (body: Buffer) => Buffer
  /** In [0, 1). */
  readonly random: () => number
  readonly logger: Logger
}

export interface RecoveryCounts {
  readonly steps: number
  readonly facts: number
}

export interface ToldStore {
  readonly storeId: string
  /** Of deliveries and audit. */
  readonly spans: readonly Span[]
  /** Topics of which only the archive holds anything, and nobody will add to it. */
  readonly gone: ReadonlySet<TopicId>
  /** Whatever nobody will plan later. */
  readonly planRest: (signal: AbortSignal) => Promise<void>
}

/** Null when somebody else ended it. @throws what log, archive and store throw: to be run again */
export async function recoverStore(
  options: RecoveryOptions,
  { storeId, spans, gone, planRest }: ToldStore,
  signal: AbortSignal,
): Promise<RecoveryCounts | null> {
  const used = new NumbersUsed()
  const reader = { log: options.log, signal }
  let [steps, facts] = [0, 0]
  // Replays go on where the store has them: what was delivered since is told by attempts, and planning passes over it.
  const isPlan = (fact: Fact): boolean =>
    fact.kind === 'plan_step' ? replayIdOf(fact.handler) === null : isStart(fact)
  for await (const fact of readFacts(spans, (one) => one.storeId === storeId && isPlan(one), reader)) {
    used.see(fact)
    if (fact.kind === 'plan_step') steps += (await recoverStep(options, fact, { gone, signal })) ? 1 : 0
    else await recoverStart(options, fact)
  }
  let batch: TimedFact[] = []
  const flush = async (): Promise<void> => {
    facts += await options.store.recoverFacts(batch)
    batch = []
    await turn()
  }
  const isDone = (fact: Fact): boolean => fact.kind !== 'plan_step'
  for await (const fact of readFacts(spans, (one) => one.storeId === storeId && isDone(one), reader)) {
    if (fact.kind === 'plan_step') continue
    used.see(fact)
    batch.push(timed(options, fact))
    if (batch.length >= BATCH_FACTS_MAX) await flush()
  }
  await flush()
  await planRest(signal)
  const counts = { steps, facts }
  // Whatever is appended from now on was never told of: nothing of it was planned.
  const ends = await partitionsNow(options.log, (topic) => sourceOfTopic(options.topicPrefix, topic) !== null)
  const planned = ends.map(({ topicId, partition, highWatermark: next }) => ({ topicId, partition, next }))
  const end = { used: used.numbers(), noted: endsOf(spans), planned, counts }
  return (await options.store.endRecovery(end)) ? counts : null
}

/** False where its position stands elsewhere: it was applied, or what came before it is not told any more. */
async function recoverStep(
  options: RecoveryOptions,
  fact: StepFact,
  reading: Pick<ToldStore, 'gone'> & { readonly signal: AbortSignal },
): Promise<boolean> {
  const { store, sources, topicPrefix, bodyDigest } = options
  const { handler, topic, topicId, partition, first, next, generation } = fact
  const sourceName = sourceOfTopic(topicPrefix, topic) ?? topic
  const stands = await store.recoverPosition(handler, sourceName, { topicId, partition, next: first })
  if (stands !== first) {
    if (stands < first)
      options.logger.warn(
        { handler, topic, partition, from: String(stands), to: String(first) },
        'plan steps of the job store are not told any more: planning goes on before them',
      )
    return false
  }
  const at = { topic, topicId, partition }
  const { records, gaps } = await readWhole({ ...at, from: first, to: next }, options, reading)
  const source = sources.find(({ name }) => name === sourceName)
  const { windowMs, onConflict } = source?.dedup ?? { windowMs: WINDOW_MS_DEFAULT, onConflict: 'deliver' }
  // What a repetition revived is told by the facts that came of it.
  const dedup = { windowMs, onConflict, onResend: 'drop' } as const
  const attemptsMax = handlerOf(options, handler)?.retry.attemptsMax ?? ATTEMPTS_MAX_DEFAULT
  const plan = planTold(fact, { at, first, next, records, gaps, dedup, bodyDigest, attemptsMax })
  const claims = handler === INDEX_HANDLER ? plan.claims : []
  const request = { ...at, first, next, generation, handlers: [handler], claims }
  return store.recoverStep({ fact, request }, plan.decide)
}

/**
 * A step is as large as planning makes it. It may have been told although its events were not archived, nor their loss
 * signed, when the log that held them went.
 */
async function readWhole(
  span: Span,
  { log }: RecoveryOptions,
  { gone, signal }: Pick<ToldStore, 'gone'> & { readonly signal: AbortSignal },
): Promise<{ readonly records: readonly LogRecord[]; readonly gaps: readonly OffsetGap[] }> {
  const records: LogRecord[] = []
  const gaps: OffsetGap[] = []
  let { from } = span
  try {
    for await (const result of readSpan(span, { log, signal })) {
      const piece = cutRead(result, span.to)
      records.push(...piece.records)
      gaps.push(...piece.gaps)
      from = piece.next
    }
  } catch (error) {
    if (!isHooktrailError(error, 'LOG_TOPIC_REPLACED') || !gone.has(span.topicId)) throw error
    gaps.push({ from, to: span.to - 1n, reason: 'log-travelled-back' })
  }
  return { records, gaps }
}

function isStart({ row }: RowFact): boolean {
  return row['action'] === HANDLER_STARTED
}

/** A handler whose first event may not have come yet: it goes on where it began, not where a new one would. */
async function recoverStart({ store }: RecoveryOptions, fact: RowFact): Promise<void> {
  const details = isObject(fact.row['details']) ? fact.row['details'] : {}
  const { source, positions } = details
  if (typeof source !== 'string' || !Array.isArray(positions)) return
  for (const each of positions.filter(isObject)) {
    const { topic_id: topicId, partition, next } = each
    if (typeof topicId !== 'string' || typeof partition !== 'number' || typeof next !== 'string') continue
    await store.recoverPosition(fact.of, source, { topicId, partition, next: BigInt(next) })
  }
}

function timed(options: RecoveryOptions, fact: Exclude<Fact, StepFact>): TimedFact {
  const retry = fact.kind === 'attempt' ? handlerOf(options, fact.of)?.retry : undefined
  const delayMs = retry === undefined ? 0 : retryDelayMs(retry, fact.attempt, options.random())
  return {
    fact,
    retryAtMs: Date.parse(fact.createdAt) + delayMs,
    attemptsMax: retry?.attemptsMax ?? ATTEMPTS_MAX_DEFAULT,
  }
}

function handlerOf({ handlers }: RecoveryOptions, name: string): HandlerConfig | undefined {
  return handlers.find((handler) => handler.name === name)
}
