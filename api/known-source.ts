/** A name that no source has is an error that says which one may be meant, and never an empty list. */
import type { Config } from '../core/config/config.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import { nearestName } from '../core/nearest-name.ts'
import type { EventLog } from '../core/ports/event-log.ts'
import { sourceOfTopic } from '../core/topics.ts'

/** Sources that were removed are known as long as the log has their topics. @throws API_SOURCE_NOT_FOUND */
export async function requireSource(
  log: Pick<EventLog, 'topics'>,
  { sources, log: { topicPrefix } }: Config,
  source: string | undefined,
): Promise<void> {
  const names = sources.map(({ name }) => name)
  if (source === undefined || names.includes(source)) return
  const logged = (await log.topics()).flatMap(({ name }) => sourceOfTopic(topicPrefix, name) ?? [])
  if (logged.includes(source)) return
  const nearest = nearestName(source, [...names, ...logged])
  throw new HooktrailError('API_SOURCE_NOT_FOUND', {
    source,
    ...(nearest === null ? {} : { did_you_mean: nearest }),
  })
}
