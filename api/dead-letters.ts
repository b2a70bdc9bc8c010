/**
 * Dead jobs by the hundred: batch after batch, each its own transaction with its audit rows, so that a failure on the
 * way leaves what was done done and audited, and asking again goes on. Says when nothing will be delivered all the same.
 */
import type { z } from 'zod'
import type { Config } from '../core/config/config.ts'
import type { AuditEntry, DeadAction, DeadFilter, DeadLetterStore } from '../core/ports/dead-letter-store.ts'
import type { HandlerView, OperatorStore } from '../core/ports/operator-store.ts'
import { handlerOf } from '../core/replay/replay-name.ts'
import { requireHandler } from './known-handler.ts'
import type { deadQuery, manyBody } from './query.ts'

const BATCH_JOBS = 500
const NOTICES_MAX = 5

type ManyStore = Pick<OperatorStore, 'handlers'> & Pick<DeadLetterStore, 'groupDeadJobs' | 'settleDeadJobs'>

/** Retries add the whole budget of the handler; one that is gone has no schedule. */
export function retryAction({ handlers }: Config, perSecond: number | null = null): DeadAction {
  const budgets = new Map(handlers.map(({ name, retry }) => [name, retry.attemptsMax]))
  return { kind: 'retry', budgets, everyMs: perSecond === null ? 0 : 1000 / perSecond }
}

/** Why jobs of these handlers are not delivered; null when all are. */
export async function noticeOf(
  store: Pick<OperatorStore, 'handlers'>,
  config: Config,
  names: readonly string[],
): Promise<string | null> {
  const known = await store.handlers()
  const said = [...new Set(names.map(handlerOf))]
    .slice(0, NOTICES_MAX)
    .flatMap((name) => handlerNotice(known, config, name) ?? [])
  return said.length === 0 ? null : said.join('; ')
}

function handlerNotice(views: readonly HandlerView[], { handlers }: Config, handler: string): string | null {
  if (!handlers.some(({ name }) => name === handler))
    return `handler ${handler} is not in the configuration: nothing is delivered until it is there again`
  const known = views.find((row) => row.handler === handler)
  if (known === undefined) return null
  if (known.unservedSinceMs !== null)
    return `no dispatcher serves handler ${handler}: nothing is delivered until one does`
  if (known.status === 'active' && known.breaker !== 'closed')
    return `the breaker of handler ${handler} is ${known.breaker} (${known.breakerReason ?? ''}): only probes are sent until it closes`
  if (known.status === 'active') return null
  const reason = known.statusReason === null ? '' : ` (${known.statusReason})`
  return `handler ${handler} is ${known.status}${reason}: nothing is delivered until hooktrail handlers enable ${handler}`
}

export interface ManyJobs {
  readonly store: ManyStore
  readonly config: Config
  readonly asked: Omit<z.output<typeof manyBody>, 'status' | 'reason'>
  readonly action: DeadAction
  readonly audit: Omit<AuditEntry, 'target'>
}

/** @throws API_HANDLER_NOT_FOUND */
export async function settleMany({ store, config, asked, action, audit }: ManyJobs) {
  const { limit, dry_run: dryRun } = asked
  const filter = await filterOf(store, config, asked)
  const groups = await store.groupDeadJobs(filter, ['handler'])
  const matched = groups.reduce((sum, { jobs }) => sum + jobs, 0)
  let settled = 0
  let after: string | null = null
  while (!dryRun && settled < limit) {
    const request = { after, before: settled, limit: Math.min(BATCH_JOBS, limit - settled), action, audit }
    const batch = await store.settleDeadJobs(filter, request)
    if (batch === null) break
    settled += batch.settled
    after = batch.last
  }
  return {
    dryRun,
    matched,
    settled,
    left: Math.max(matched - settled, 0),
    handlers: handlersOf(filter, groups),
  }
}

/** @throws API_HANDLER_NOT_FOUND */
export async function filterOf(
  store: ManyStore,
  config: Config,
  { handler, source, event_type: eventType, error, since, until }: Omit<z.output<typeof deadQuery>, 'by'>,
): Promise<DeadFilter> {
  if (handler !== undefined) await requireHandler(store, config, handler)
  return {
    handler: handler ?? null,
    source: source ?? null,
    eventType: eventType ?? null,
    error: error ?? null,
    sinceMs: since ?? null,
    untilMs: until ?? null,
  }
}

function handlersOf(
  { handler }: DeadFilter,
  groups: readonly { readonly handler: string | null }[],
): readonly string[] {
  return handler === null ? groups.flatMap((group) => group.handler ?? []) : [handler]
}
