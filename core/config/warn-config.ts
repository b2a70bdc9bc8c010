/** What `validate` says about a configuration that works: settings whose consequences are easy to overlook. */
import { retentionOf, type RetentionTerms } from '../archive/retention.ts'
import { eventTopic } from '../topics.ts'
import { formatDuration } from '../units.ts'
import type { RetryConfig, Settings } from './config.ts'
import { keysOf } from '../delivery/signing-key.ts'
import { retentionTerms } from './retention-terms.ts'

const HOUR_MS = 3_600_000
const SMALL_SEGMENT_BYTES = 65_536
/** As for the tokens of the API. A sender may leave no choice, so a shorter one is allowed. */
const SECRET_CHARACTERS_MIN = 16
const WORM_WARNINGS = {
  off: 'whoever can write the archive can delete from it',
  preferred: 'where the store does not lock, archiving goes on, and verify says so (exit 4)',
}

export function warningsOf(config: Settings): readonly string[] {
  const { api, server, log, archive, delivery } = config
  const warnings: string[] = []
  const admin = api.listen ?? `${server.host}:${server.port}`
  if (!/^(?:127\.|localhost:|\[?::1\]?:)/.test(admin))
    warnings.push(
      `the management API listens on ${admin}, not on loopback alone: set api.listen or keep it behind a firewall`,
    )
  if (archive.worm !== 'required')
    warnings.push(`archive.worm is ${archive.worm}: ${WORM_WARNINGS[archive.worm]}`)
  if (archive.roll.bytesMax < SMALL_SEGMENT_BYTES)
    warnings.push('archive.roll.bytes makes many small objects')
  for (const handler of config.handlers) {
    const horizonMs = retryHorizonMs(handler.retry)
    if (horizonMs > log.retentionMs)
      warnings.push(
        `handlers.${handler.name} may retry for ${formatDuration(horizonMs)}, longer than log.retention ${formatDuration(log.retentionMs)}: by then its payloads are read from the archive`,
      )
    if (keysOf(handler, delivery).length === 0)
      warnings.push(`handlers.${handler.name} sends unsigned requests: set signing_secrets`)
  }
  if (config.schemaRegistry !== null && config.sources.every(({ schema }) => schema === null))
    warnings.push('schema_registry is asked by nobody: no source has a schema')
  for (const { name, verify, secrets } of config.sources) {
    if (verify.scheme === 'none')
      warnings.push(`sources.${name} accepts requests from anybody: verify is none`)
    if (secrets.some((secret) => secret.length < SECRET_CHARACTERS_MIN))
      warnings.push(
        `sources.${name} has a secret of fewer than ${SECRET_CHARACTERS_MIN} characters: whoever sees one request can guess it`,
      )
  }
  return warnings
}

/** One line for each source: how long its events can be found where. */
export function summarizeSources(settings: Settings): readonly string[] {
  const { sources, log, worker, archive } = settings
  const terms = retentionTerms(settings)
  const retention = formatDuration(log.retentionMs)
  const where = archiveLocation(archive, '$HOOKTRAIL_HOME/archive')
  return sources.map(
    ({ name }) =>
      `${name}: log ${retention} → search ${formatDuration(worker.retentionHours * HOUR_MS)} → archive ${where} (${lockText(terms, eventTopic(log.topicPrefix, name))})`,
  )
}

function lockText(terms: RetentionTerms | null, topic: string): string {
  if (terms === null) return 'not locked'
  const { mode, periodMs } = retentionOf(terms, topic)
  return `locked for ${formatDuration(periodMs)}, ${mode}`
}

/** As `archive verify` takes it. */
export function archiveLocation({ s3, directory }: Settings['archive'], otherwise: string): string {
  if (s3 === null) return directory ?? otherwise
  return `s3://${[s3.bucket, s3.prefix].filter((part) => part !== '').join('/')}`
}

/** Sum of the delays between the first attempt and the last, without jitter. */
function retryHorizonMs({ attemptsMax, backoff }: RetryConfig): number {
  let sum = 0
  for (let retry = 0; retry < attemptsMax - 1; retry++) {
    switch (backoff.kind) {
      case 'list':
        sum += backoff.delaysMs[retry] ?? backoff.delaysMs.at(-1) ?? 0
        break
      case 'exponential':
        sum += Math.min(backoff.intervalMs * 2 ** retry, backoff.intervalMsMax)
        break
      case 'fixed':
        sum += backoff.intervalMs
        break
      default:
        backoff satisfies never
    }
  }
  return sum
}
