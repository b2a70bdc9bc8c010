/**
 * Names and sizes of hooktrail's own topics: `<prefix>.events.<source>`, `<prefix>.deliveries`, `<prefix>.audit`,
 * `<prefix>.rejected`. One place, so that every process and the archive name the same thing.
 */
import type { Config } from './config/config.ts'
import type { TopicSpec } from './ports/event-log.ts'

/** Plan steps, attempts and terminal transitions; key = event id, for plan steps the handler. */
export const DELIVERIES_PARTITIONS = 3

export function eventTopic(prefix: string, source: string): string {
  return `${prefix}.events.${source}`
}

export function deliveriesTopic(prefix: string): string {
  return `${prefix}.deliveries`
}

export function auditTopic(prefix: string): string {
  return `${prefix}.audit`
}

export function rejectedTopic(prefix: string): string {
  return `${prefix}.rejected`
}

/** The source whose events a topic holds, or null for any other topic. */
export function sourceOfTopic(prefix: string, name: string): string | null {
  const start = `${prefix}.events.`
  return name.startsWith(start) && name.length > start.length ? name.slice(start.length) : null
}

/** Every topic that this configuration needs. */
export function topicSpecs(config: Config): TopicSpec[] {
  const { topicPrefix: prefix, partitions } = config.log
  return [
    ...config.sources.map(({ name }) => ({ name: eventTopic(prefix, name), partitions })),
    { name: deliveriesTopic(prefix), partitions: DELIVERIES_PARTITIONS },
    { name: auditTopic(prefix), partitions: 1 },
    { name: rejectedTopic(prefix), partitions: 1 },
  ]
}
