/** The retention of each topic, as the configuration says it: sources' own, hooktrail's own topics', else the common one. */
import type { Retention, RetentionTerms } from '../archive/retention.ts'
import { auditTopic, deliveriesTopic, eventTopic, rejectedTopic } from '../topics.ts'
import type { Settings } from './config.ts'

/** Strangers must not be able to fill a locked bucket for years. */
const REJECTED_MS_MAX = 90 * 86_400_000

/** Null where nothing is locked. */
export function retentionTerms({
  archive: { retention },
  sources,
  log: { topicPrefix: prefix },
}: Pick<Settings, 'archive' | 'sources' | 'log'>): RetentionTerms | null {
  if (retention === null) return null
  const { fallback, own } = retention
  const topics = new Map<string, Retention>()
  for (const { name, archiveRetention } of sources)
    if (archiveRetention !== null) topics.set(eventTopic(prefix, name), archiveRetention)
  if (own.deliveries !== undefined) topics.set(deliveriesTopic(prefix), own.deliveries)
  if (own.audit !== undefined) topics.set(auditTopic(prefix), own.audit)
  topics.set(rejectedTopic(prefix), own.rejected ?? shortened(fallback))
  return { fallback, topics }
}

function shortened({ periodMs }: Retention): Retention {
  return { mode: 'governance', periodMs: Math.min(periodMs, REJECTED_MS_MAX) }
}
