/**
 * Brings back a job store that was lost, into an empty one: the same recovery as of one that travelled back, from the
 * beginning of log and archive. It takes over the identity of the store that told most lately, so that what that one told
 * stays its own. May be interrupted and run again.
 */
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import { NumbersUsed, readFacts, type Span } from '../core/recovery/fact-stream.ts'
import { recoverStore, type RecoveryCounts, type RecoveryOptions, type ToldStore } from './recover-store.ts'
import { tellingPartitions } from './store-witness.ts'

export interface RebuildOptions extends RecoveryOptions {
  readonly store: RecoveryOptions['store'] & Pick<JobStore, 'beginRebuild'>
  /** Chains of the archive whose topics the log does not have any more. */
  readonly older: readonly Span[]
  readonly gone: ToldStore['gone']
  /** Of events in such chains. */
  readonly planRest: ToldStore['planRest']
}

export interface Rebuilt extends RecoveryCounts {
  readonly storeId: string
}

/** @throws STORE_UNKNOWN, STORE_NOT_EMPTY, and what log, archive and store throw: to be run again */
export async function rebuildStore(options: RebuildOptions, signal: AbortSignal): Promise<Rebuilt> {
  const { log, store, topicPrefix, older, gone, planRest } = options
  const current = (await tellingPartitions(log, topicPrefix)).map(
    ({ topic, topicId, partition, highWatermark }) => ({
      topic,
      topicId,
      partition,
      from: 0n,
      to: highWatermark,
    }),
  )
  const spans = [...older, ...current]
  let newest: { readonly storeId: string; readonly createdAt: string } | null = null
  const used = new NumbersUsed()
  for await (const fact of readFacts(spans, () => true, { log, signal })) {
    used.see(fact)
    if (newest === null || fact.createdAt >= newest.createdAt) newest = fact
  }
  if (newest === null) throw new HooktrailError('STORE_UNKNOWN', {})
  const { storeId } = newest
  await store.beginRebuild(storeId, used.numbers())
  const counts = await recoverStore(options, { storeId, spans, gone, planRest }, signal)
  return { storeId, ...(counts ?? { steps: 0, facts: 0 }) }
}
