/**
 * The log that the configuration names. The one in Postgres stands on a prepared database; Kafka needs nothing else. Its
 * client is loaded only where it is used: it costs half a second and memory.
 */
import { createPostgresEventLog } from '../../adapters/postgres/event-log.ts'
import type { Config, KafkaConfig } from '../../core/config/config.ts'
import type { EventLog, ForeignTopicLog, GroupOffsetLog, ReplaceableLog } from '../../core/ports/event-log.ts'
import { DECODED_BYTES_MAX } from '../../core/record/event-record.ts'
import type { Context } from './context.ts'
import { tlsOptions } from './tls-options.ts'

/** Beside the largest body: key and headers. */
const HEADERS_BYTES_MAX = 64 * 1024

/** @throws LOG_UNAVAILABLE and what the log refuses */
export function openLog(
  context: Context,
): Promise<EventLog & Partial<GroupOffsetLog & ForeignTopicLog & ReplaceableLog> & AsyncDisposable> {
  const { kafka } = context.config.log
  return kafka === null ? openPostgresLog(context) : openKafkaLog(context, kafka)
}

function openPostgresLog({
  config,
  database,
  clock,
  logger,
  postgres,
}: Context): Promise<EventLog & ReplaceableLog & AsyncDisposable> {
  return createPostgresEventLog(database, {
    topicPrefix: config.log.topicPrefix,
    retentionMs: config.log.retentionMs,
    clock,
    logger,
    dataDirectory: postgres?.dataDirectory ?? null,
  })
}

async function openKafkaLog(
  { config, clock, logger, processId }: Context,
  { brokers, replication, tls, sasl }: KafkaConfig,
): Promise<EventLog & GroupOffsetLog & ForeignTopicLog & AsyncDisposable> {
  const { createKafkaEventLog } = await import('../../adapters/kafka/event-log.ts')
  return createKafkaEventLog({
    ...{ brokers, replication, sasl, clock, logger },
    tls: tlsOptions(tls),
    topicPrefix: config.log.topicPrefix,
    recordBytesMax: recordBytesMax(config),
    clientId: `hooktrail-${processId}`,
  })
}

function recordBytesMax({ sources }: Config): number {
  const sizes = sources.map(({ bodyBytesMax, schema }) =>
    schema?.mode === 'decode' ? bodyBytesMax + DECODED_BYTES_MAX : bodyBytesMax,
  )
  return Math.max(0, ...sizes) + HEADERS_BYTES_MAX
}
