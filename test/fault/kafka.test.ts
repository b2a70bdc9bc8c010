/** A broker that is killed, stopped or absent: what was acknowledged is there, and nothing waits for ever. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { createKafkaEventLog, type KafkaEventLog } from '../../adapters/kafka/event-log.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { AppendRecord, LogPosition, Topic } from '../../core/ports/event-log.ts'
import { createTopic, hasCode, of, readAll, request, textRecord } from '../contract/event-log.ts'
import { kafkaLogOptions, openKafkaStage } from '../support/kafka-log.ts'
import { scale } from '../support/scale.ts'
import { freePorts, ServiceUnavailableError } from '../support/services/local-process.ts'
import { startLocalKafka, type LocalKafka } from '../support/services/kafka.ts'
import { createCertificate, type Certificate } from '../support/services/self-signed.ts'

const saslUser = { username: 'alice', password: 'alice-secret' }
const APPEND_MS_MAX = 1_000
const certificate = await createCertificate().catch((error: unknown) => {
  if (error instanceof ServiceUnavailableError) return null
  throw error
})
const tls = certificate === null ? {} : { tls: { ...certificate, asksForClients: true } }
const kafka = await startLocalKafka({ saslUser, ...tls }).catch((error: unknown) => {
  if (!(error instanceof ServiceUnavailableError)) throw error
  process.stderr.write(`NOT RUN: the faults of Kafka, because ${error.message}\n`)
  return error.message
})

if (typeof kafka === 'string') test('faults of the event log on Kafka', { skip: kafka })
else {
  after(() => kafka[Symbol.asyncDispose]())
  test('PLAIN and SCRAM are spoken, and a wrong password is told as such', () => authentication(kafka))
  test('a bearer token is asked for at each connection', () => bearerToken(kafka))
  const title = 'TLS is spoken, with a certificate of our own, and not to a broker that nobody vouches for'
  if (certificate === null) test(title, { skip: 'openssl is not installed' })
  else test(title, () => encryption(kafka, certificate))
  test('a broker that is down or silent at start is told within the deadline', () => absentBroker(kafka))
  test('a stopped broker: appends are unknown within their deadline, and at most once in the log', () =>
    stoppedBroker(kafka))
  test('a killed broker: every acknowledged record is where its position says', () => killedBroker(kafka))
}

async function authentication({ saslBrokers, brokers }: LocalKafka): Promise<void> {
  await using stage = await openKafkaStage(brokers)
  for (const mechanism of ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const) {
    const sasl = { mechanism, ...saslUser }
    const log = await stage.open({ brokers: saslBrokers, sasl })
    const topic = await createTopic(log, `${stage.topicPrefix}.${mechanism.toLowerCase()}`)
    await log.append([textRecord(topic, 0, mechanism)])
    assert.equal(String((await readAll(log, topic, 0))[0]?.value), mechanism)
    await assert.rejects(
      stage.open({ brokers: saslBrokers, sasl: { ...sasl, password: 'wrong' } }),
      hasCode('LOG_REFUSED'),
    )
  }
}

async function bearerToken({ saslBrokers, brokers }: LocalKafka): Promise<void> {
  await using stage = await openKafkaStage(brokers)
  let asked = 0
  const token = (): Promise<string> => {
    asked++
    const nowS = systemClock.now() / 1_000
    const parts = [{ alg: 'none' }, { sub: 'alice', iat: nowS, exp: nowS + 60 }]
    const [head, claims] = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    return Promise.resolve(`${head}.${claims}.`)
  }
  const log = await stage.open({ brokers: saslBrokers, sasl: { mechanism: 'OAUTHBEARER', token } })
  const topic = await createTopic(log, `${stage.topicPrefix}.bearer`)
  await log.append([textRecord(topic, 0, 'bearer')])
  assert.ok(asked > 1)
  const sasl = { mechanism: 'OAUTHBEARER', token: 'no token' } as const
  await assert.rejects(stage.open({ brokers: saslBrokers, sasl }), hasCode('LOG_REFUSED'))
}

async function encryption(
  { tlsBrokers, brokers }: LocalKafka,
  { key, certificate }: Certificate,
): Promise<void> {
  await using stage = await openKafkaStage(brokers)
  const own = { cert: certificate, key }
  const log = await stage.open({ brokers: tlsBrokers, tls: { ...own, ca: certificate } })
  const topic = await createTopic(log, `${stage.topicPrefix}.tls`)
  await log.append([textRecord(topic, 0, 'sealed')])
  assert.equal(String((await readAll(log, topic, 0))[0]?.value), 'sealed')
  await assert.rejects(stage.open({ brokers: tlsBrokers, tls: own }), hasCode('LOG_UNAVAILABLE'))
  await assert.rejects(
    stage.open({ brokers: tlsBrokers, tls: { ca: certificate } }),
    hasCode('LOG_UNAVAILABLE'),
  )
}

async function absentBroker(kafka: LocalKafka): Promise<void> {
  const [port = 0] = await freePorts(1)
  await assert.rejects(
    createKafkaEventLog(kafkaLogOptions([`127.0.0.1:${port}`], 'nobody')),
    hasCode('LOG_UNAVAILABLE'),
  )
  await kafka.kill('SIGSTOP')
  await assert.rejects(
    createKafkaEventLog(kafkaLogOptions(kafka.brokers, 'silent')),
    hasCode('LOG_UNAVAILABLE'),
  )
  await kafka.kill('SIGCONT')
  // Where one of several brokers is down, the others serve.
  await using log = await createKafkaEventLog(
    kafkaLogOptions([`127.0.0.1:${port}`, ...kafka.brokers], 'some'),
  )
  assert.deepEqual(await log.topics(), [])
}

async function stoppedBroker(kafka: LocalKafka): Promise<void> {
  await using stage = await openKafkaStage(kafka.brokers)
  const log = await stage.open({ appendMsMax: APPEND_MS_MAX })
  const topic = await createTopicSoon(log, `${stage.topicPrefix}.stopped`)
  await log.append([textRecord(topic, 0, 'before')])
  for (let stop = 0; stop < scale.logKills; stop++) {
    await kafka.kill('SIGSTOP')
    const refused = await Promise.all(
      ['x', 'y', 'z'].map((value) => reasonOf(log.append([textRecord(topic, 0, `${value}${stop}`)]))),
    )
    assert.ok(refused.every((reason) => reason === `no answer within ${APPEND_MS_MAX} ms`))
    await assert.rejects(log.read(request(topic, 0, { waitMsMax: 100 })), hasCode('LOG_UNAVAILABLE'))
    await boundedOutstanding(log, topic)
    await kafka.kill('SIGCONT')
    await untilTaken(log, textRecord(topic, 0, `after${stop}`))
    const values = (await readAll(log, topic, 0)).map(({ value }) => String(value?.subarray(0, 10)))
    assert.equal(new Set(values).size, values.length, `each at most once: ${values.join(' ')}`)
    for (let each = 0; each <= stop; each++) assert.ok(values.includes(`after${each}`))
  }
}

/** More than fits is refused at once; what was given up before it was sent holds no memory. */
async function boundedOutstanding(log: KafkaEventLog, topic: Topic): Promise<void> {
  const large = (): AppendRecord => ({
    topic,
    partition: 0,
    key: null,
    value: Buffer.alloc(1_000_000, 7),
    headers: [],
  })
  const full = Array.from({ length: 60 }, large)
  const first = reasonOf(log.append(full))
  assert.equal(await reasonOf(log.append(full)), 'too much is outstanding')
  assert.equal(await first, `no answer within ${APPEND_MS_MAX} ms`)
  assert.equal(await reasonOf(log.append(full)), `no answer within ${APPEND_MS_MAX} ms`)
}

async function killedBroker(kafka: LocalKafka): Promise<void> {
  await using stage = await openKafkaStage(kafka.brokers)
  const log = await stage.open({ appendMsMax: APPEND_MS_MAX })
  const topic = await createTopicSoon(log, `${stage.topicPrefix}.killed`, 3)
  const acknowledged = new Map<string, LogPosition>()
  for (let kill = 0; kill < scale.logKills; kill++) {
    const stopping = new AbortController()
    const appenders = [0, 1, 2, 3].map((appender) =>
      appendUntil(stopping.signal, { log, topic, acknowledged, name: `${kill}/${appender}` }),
    )
    const wanted = acknowledged.size + 400
    for (let next = (await log.bounds(of(topic, 0))).highWatermark; acknowledged.size < wanted;)
      ({ next } = await log.read(request(topic, 0, { from: next, waitMsMax: 1_000 })))
    await kafka.kill('SIGKILL')
    await assert.rejects(log.bounds(of(topic, 0)), hasCode('LOG_UNAVAILABLE'))
    await kafka.restart()
    await untilTaken(log, textRecord(topic, 0, `taken again ${kill}`))
    stopping.abort()
    const refusals = (await Promise.all(appenders)).flat()
    assert.ok(refusals.length > 0 && refusals.every((code) => code === 'LOG_UNAVAILABLE'))
  }
  const stored = new Map<string, LogPosition>()
  let records = 0
  for (let partition = 0; partition < 3; partition++)
    for (const { value, offset, timestampMs } of await readAll(log, topic, partition)) {
      stored.set(String(value), { partition, offset, timestampMs })
      records++
    }
  for (const [value, position] of acknowledged) assert.deepEqual(stored.get(value), position, value)
  assert.equal(records, stored.size, 'no record is there twice')
}

/** A broker that was held up is fenced for a moment. */
async function createTopicSoon(log: KafkaEventLog, name: string, partitions = 1): Promise<Topic> {
  for (;;) {
    try {
      return await createTopic(log, name, partitions)
    } catch (error) {
      if (!isHooktrailError(error, 'LOG_UNAVAILABLE')) throw error
    }
  }
}

interface Appending {
  readonly log: KafkaEventLog
  readonly topic: Topic
  readonly acknowledged: Map<string, LogPosition>
  readonly name: string
}

/** Appends on and on; resolves with the codes of the refusals. */
async function appendUntil(
  stop: AbortSignal,
  { log, topic, acknowledged, name }: Appending,
): Promise<string[]> {
  const refusals: string[] = []
  for (let batch = 0; !stop.aborted; batch++) {
    const records = Array.from({ length: 10 }, (_, n) => textRecord(topic, n % 3, `${name}/${batch}/${n}`))
    try {
      const positions = await log.append(records)
      positions.forEach((position, index) => acknowledged.set(String(records[index]?.value), position))
    } catch (error) {
      refusals.push(isHooktrailError(error) ? error.code : String(error))
    }
  }
  return refusals
}

async function untilTaken(log: KafkaEventLog, record: AppendRecord): Promise<void> {
  const giveUpAt = systemClock.monotonic() + 30_000
  for (let attempt = 0; ; attempt++) {
    try {
      await log.append([
        attempt === 0 ? record : { ...record, value: Buffer.from(`${String(record.value)} ${attempt}`) },
      ])
      return
    } catch (error) {
      if (systemClock.monotonic() > giveUpAt) throw error
    }
  }
}

async function reasonOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work
    return 'acknowledged'
  } catch (error) {
    return isHooktrailError(error, 'LOG_UNAVAILABLE') ? error.details['reason'] : error
  }
}
