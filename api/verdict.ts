/** The first line of /health and `hooktrail status`, computed from what the processes know. Pure. */
import type { HandlerStanding } from '../core/ports/report-store.ts'
import { UNSERVED_MS } from '../core/ports/lease-store.ts'
import { spanText } from './span-text.ts'

export interface ServiceState {
  readonly name: string
  readonly waitingFor: string | null
}

export interface ArchiveFacts {
  /** Age of the oldest record that is not archived; null while nobody here knows. */
  readonly lagSeconds: number | null
  readonly heartbeatAgeSeconds: number | null
  readonly halted: readonly { readonly topic: string; readonly partition: number; readonly reason: string }[]
  readonly chainFault: string | null
}

export interface HealthFacts {
  readonly storeAnswers: boolean
  readonly logAnswers: boolean
  /** Then events are taken while the database is down, and the log may be down by itself. */
  readonly isLogApart: boolean
  readonly services: readonly ServiceState[]
  readonly handlers: readonly HandlerStanding[]
  /** Names of the handlers in the configuration. */
  readonly configured: ReadonlySet<string>
  /** Null while there is no archive that this process knows. */
  readonly archive: ArchiveFacts | null
  readonly retentionSeconds: number
  /** A heartbeat that is older than this is overdue. */
  readonly heartbeatSecondsMax: number
}

/** More would be no sentence; `hooktrail status` lists all. */
const NAMED_MAX = 5
const BEHIND_RECORDS_MIN = 1_000
const BEHIND_SECONDS_MIN = 60

export function verdictOf(facts: HealthFacts): string {
  const { storeAnswers, logAnswers, services, handlers, archive } = facts
  const isArchiveSound = archive === null || (archive.chainFault === null && archive.halted.length === 0)
  const slow = [
    ...(storeAnswers ? notBegun(facts) : []),
    ...handlers.flatMap((row) => (facts.configured.has(row.handler) ? handlerTrouble(row) : removed(row))),
  ]
  const troubles = [
    ...dependencyTroubles(facts),
    ...(archive === null ? [] : archiveTroubles(archive, facts)),
    ...services.flatMap(({ name, waitingFor }) =>
      waitingFor === null ? [] : [`${name} waits: ${waitingFor}.`],
    ),
    ...slow.slice(0, NAMED_MAX),
    ...(slow.length > NAMED_MAX
      ? [`${slow.length - NAMED_MAX} more troubles with handlers; hooktrail status.`]
      : []),
    ...deadLetters(handlers),
  ]
  const opening = troubles.length === 0 ? ['All is well.'] : []
  const promise =
    troubles.length > 0 && storeAnswers && logAnswers && isArchiveSound ? ['No acked event is lost.'] : []
  return [...opening, ...promise, ...troubles, archiveLag(archive, facts)].join(' ')
}

/** One trouble, one sentence: a log in the database is away with it. */
function dependencyTroubles({ storeAnswers, logAnswers, isLogApart }: HealthFacts): readonly string[] {
  const isLogAway = !logAnswers && (storeAnswers || isLogApart)
  const log = isLogAway ? ['The log does not answer: what arrives is answered 503 and sent again.'] : []
  if (storeAnswers) return log
  if (isLogAway) return [...log, 'The database does not answer: deliveries go on when it is back.']
  return [
    isLogApart
      ? 'The database does not answer: events are taken, and delivered when it is back.'
      : 'The database does not answer: what it cannot take is answered 503 and sent again.',
  ]
}

function deadLetters(handlers: readonly HandlerStanding[]): readonly string[] {
  const letters = handlers.reduce((sum, { dead }) => sum + dead, 0)
  if (letters === 0) return []
  const count = letters === 1 ? '1 dead letter' : `${letters} dead letters`
  const owners = handlers.filter(({ dead }) => dead > 0).map(({ handler }) => handler)
  const named = owners.length > NAMED_MAX ? '' : ` of ${owners.join(', ')}`
  return [`${count}${named}; hooktrail jobs list --status dead.`]
}

function notBegun({ configured, handlers }: HealthFacts): readonly string[] {
  const known = new Set(handlers.map(({ handler }) => handler))
  return [...configured]
    .filter((name) => !known.has(name))
    .map((name) => `${name} has no position in the log yet: is a dispatcher running?`)
}

/** What is left behind of a handler that was taken out of the configuration. */
function removed({ handler, available, running, retryable, lagRecords }: HandlerStanding): readonly string[] {
  const open = available + running + retryable
  const behind = lagRecords ?? 0
  if (open === 0 && behind === 0) return []
  return [
    `${handler} is not in the configuration any more: nobody delivers its ${open} open jobs, and ${behind} records ` +
      'that are not planned for it stay in log and archive; docs/operations.md, "A handler was removed".',
  ]
}

function handlerTrouble(standing: HandlerStanding): readonly string[] {
  const { handler, status, statusReason, retryable, lagRecords, dueForMs, lastError, unservedForMs } =
    standing
  if (status !== 'active') {
    const reason = statusReason === null ? '' : `: ${statusReason}`
    return [`${handler} is ${status}${reason}; hooktrail handlers enable ${handler}.`]
  }
  if (unservedForMs !== null && unservedForMs >= UNSERVED_MS)
    return [
      `No dispatcher has served ${handler} for ${spanText(unservedForMs / 1000)}: its events wait; ` +
        'docs/sizes.md, "Pools".',
    ]
  const { breaker, breakerReason, breakerForMs } = standing
  if (breaker !== 'closed' && breakerForMs !== null)
    return [
      `The breaker of ${handler} has been open for ${spanText(breakerForMs / 1000)} (${breakerReason ?? breaker}): ` +
        'it is probed, and its events wait.',
    ]
  const parts = [
    ...(retryable > 0
      ? [`${jobs(retryable)} for a retry${lastError === null ? '' : ` after ${lastError}`}`]
      : []),
    ...(retryable > 0 && dueForMs !== null && dueForMs < 0
      ? [`the next in ${spanText(-dueForMs / 1000)}`]
      : []),
    ...(lagRecords !== null && lagRecords >= BEHIND_RECORDS_MIN
      ? [`${lagRecords} records are not planned yet`]
      : []),
  ]
  const behindSeconds = Math.max(0, dueForMs ?? 0) / 1000
  if (behindSeconds >= BEHIND_SECONDS_MIN)
    return [[`${handler} is ${spanText(behindSeconds)} behind`, ...parts.slice(0, 1)].join(': ') + '.']
  return parts.length === 0 ? [] : [`${handler}: ${parts.join(', ')}.`]
}

function jobs(count: number): string {
  return count === 1 ? '1 job waits' : `${count} jobs wait`
}

function archiveTroubles(archive: ArchiveFacts, facts: HealthFacts): readonly string[] {
  const { chainFault, halted, heartbeatAgeSeconds } = archive
  const isOverdue = heartbeatAgeSeconds !== null && heartbeatAgeSeconds > facts.heartbeatSecondsMax
  return [
    ...(chainFault === null ? [] : [`The archive contradicts itself: ${chainFault}.`]),
    ...halted
      .slice(0, NAMED_MAX)
      .map(({ topic, partition, reason }) => `Archiving of ${topic}/${partition} is halted: ${reason}.`),
    ...(isOverdue
      ? [`No heartbeat of the archive for ${spanText(heartbeatAgeSeconds)}: is an archiver running?`]
      : []),
    ...(marginSeconds(archive, facts) === 0
      ? ['The archive is as far behind as log.retention: the log is kept longer, until it is archived.']
      : []),
  ]
}

/** How long the archive may stand still before the log holds more than its retention; null when nobody knows. */
export function marginSeconds(
  archive: ArchiveFacts | null,
  { retentionSeconds }: Pick<HealthFacts, 'retentionSeconds'>,
): number | null {
  if (archive === null || archive.lagSeconds === null) return null
  return Math.max(0, retentionSeconds - archive.lagSeconds)
}

function archiveLag(archive: ArchiveFacts | null, facts: HealthFacts): string {
  if (archive === null) return 'Of the archive nothing is known here.'
  const { lagSeconds, heartbeatAgeSeconds } = archive
  const margin = marginSeconds(archive, facts)
  if (lagSeconds !== null && margin !== null)
    return `Archive ${spanText(lagSeconds)} behind, margin ${spanText(margin)}.`
  const heartbeat =
    heartbeatAgeSeconds === null
      ? 'no heartbeat is known'
      : `its last heartbeat was ${spanText(heartbeatAgeSeconds)} ago`
  return `How far the archive is behind is not known; ${heartbeat}.`
}
