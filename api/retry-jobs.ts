/**
 * Dead jobs by the hundred: batch after batch, each its own transaction with its audit rows, so that a failure on the
 * way leaves what was done done and audited, and asking again goes on. Says when nothing will be delivered all the same.
 */
import type { z } from 'zod'
import type { Config } from '../core/config/config.ts'
import type { OperatorStore } from '../core/ports/job-store.ts'
import type { AuditEntry, RetryStore } from '../core/ports/retry-store.ts'
import { requireHandler } from './known-handler.ts'
import type { retryBody } from './query.ts'

const BATCH_JOBS = 500

type ManyStore = Pick<OperatorStore, 'handlers'> & Pick<RetryStore, 'countDead' | 'retryDead'>

/** Attempts that a retry adds; a handler that is gone has no schedule. */
export function budgetOf({ handlers }: Config, handler: string): number {
  return handlers.find(({ name }) => name === handler)?.retry.attemptsMax ?? 1
}

/** Why the jobs of a handler are not delivered; null when they are. */
export async function noticeOf(
  store: Pick<OperatorStore, 'handlers'>,
  { handlers }: Config,
  handler: string,
): Promise<string | null> {
  if (!handlers.some(({ name }) => name === handler))
    return `handler ${handler} is not in the configuration: nothing is delivered until it is there again`
  const known = (await store.handlers()).find((row) => row.handler === handler)
  if (known === undefined) return null
  if (known.unservedSinceMs !== null)
    return `no dispatcher serves handler ${handler}: nothing is delivered until one does`
  if (known.status === 'active') return null
  const reason = known.statusReason === null ? '' : ` (${known.statusReason})`
  return `handler ${handler} is ${known.status}${reason}: nothing is delivered until hooktrail handlers enable ${handler}`
}

export interface ManyRetries {
  readonly store: ManyStore
  readonly config: Config
  readonly asked: z.output<typeof retryBody>
  readonly audit: Omit<AuditEntry, 'target'>
}

/** @throws API_HANDLER_NOT_FOUND */
export async function retryMany({ store, config, asked, audit }: ManyRetries) {
  const { handler, since, until, limit, dry_run: dryRun } = asked
  await requireHandler(store, config, handler)
  const filter = { handler, sinceMs: since ?? null, untilMs: until ?? null }
  const matched = await store.countDead(filter)
  const budget = budgetOf(config, handler)
  let retried = 0
  let after: string | null = null
  while (!dryRun && retried < limit) {
    const request = { after, limit: Math.min(BATCH_JOBS, limit - retried), budget, audit }
    const batch = await store.retryDead(filter, request)
    if (batch === null) break
    retried += batch.retried
    after = batch.last
  }
  const left = Math.max(matched - retried, 0)
  return { dry_run: dryRun, matched, retried, left, notice: await noticeOf(store, config, handler) }
}
