/** A Kafka log for tests: each under a prefix of its own, opened as often as a test likes, all closed with it. */
import { randomBytes } from 'node:crypto'
import './kafkajs-warning.ts'
import { Kafka, logLevel, type Admin } from 'kafkajs'
import {
  createKafkaEventLog,
  type KafkaEventLog,
  type KafkaEventLogOptions,
} from '../../adapters/kafka/event-log.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import { silentLogger } from './postgres.ts'

export interface KafkaLogStage extends AsyncDisposable {
  readonly topicPrefix: string
  /** An independent client. */
  readonly kafkajs: Kafka
  readonly admin: Admin
  open(more?: Partial<KafkaEventLogOptions>): Promise<KafkaEventLog>
  deleteTopic(name: string): Promise<void>
}

export const RECORD_BYTES_MAX = 1_048_588

export async function openKafkaStage(brokers: readonly string[]): Promise<KafkaLogStage> {
  await using undo = new AsyncDisposableStack()
  const topicPrefix = `trail-${randomBytes(6).toString('hex')}`
  const kafkajs = new Kafka({ clientId: 'test', brokers: [...brokers], logLevel: logLevel.NOTHING })
  const admin = kafkajs.admin()
  await admin.connect()
  undo.defer(() => admin.disconnect())
  const resources = undo.move()
  return {
    topicPrefix,
    kafkajs,
    admin,
    open: async (more = {}) =>
      resources.use(await createKafkaEventLog({ ...kafkaLogOptions(brokers, topicPrefix), ...more })),
    deleteTopic: async (name) => {
      await admin.deleteTopics({ topics: [name] })
      while ((await admin.listTopics()).includes(name));
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

export function kafkaLogOptions(brokers: readonly string[], topicPrefix: string): KafkaEventLogOptions {
  return {
    ...{ brokers, topicPrefix, clientId: 'hooktrail-test', tls: null, sasl: null },
    ...{ replication: 1, recordBytesMax: RECORD_BYTES_MAX, clock: systemClock, logger: silentLogger },
  }
}
