/** The Kafka log on a real broker: the contract, and what only Kafka has (other clients, transactions, settings). */
import { after, test } from 'node:test'
import { openKafkaStage } from '../support/kafka-log.ts'
import { kafkaOrReason } from '../support/services/kafka.ts'
import { exerciseKafkaClients } from './event-log-kafka-clients.ts'
import { exerciseKafkaTopics } from './event-log-kafka-topics.ts'
import { exerciseKafkaTransactions } from './event-log-kafka-transactions.ts'
import { exerciseEventLog } from './event-log.ts'

const kafka = await kafkaOrReason({ properties: ['log.cleaner.backoff.ms=100'] })

if (typeof kafka === 'string') test('the event log on Kafka', { skip: kafka })
else {
  const start = (): ReturnType<typeof openKafkaStage> => openKafkaStage(kafka.brokers)
  after(() => kafka[Symbol.asyncDispose]())
  exerciseEventLog('Kafka', start)
  exerciseKafkaClients(start)
  exerciseKafkaTransactions(start)
  exerciseKafkaTopics(start)
}
