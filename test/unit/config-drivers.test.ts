/** Kafka, Redis and S3 in the configuration: what each driver needs, and that no key is read and ignored. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readConfig, type ConfigResult } from '../../core/config/read-config.ts'

const env = { REDIS_URL: 'rediss://worker:redis-password@cache:6379/0' }

function read(text: string): ConfigResult {
  const file = { file: 'hooktrail.yaml', text: `version: 1\n${text}\n`, overlay: null }
  return readConfig(file, { env, readFile: () => '' })
}

function faultsOf(text: string): readonly string[] {
  const result = read(text)
  return result.ok ? [] : result.faults.map(({ path, message }) => `${path} ${message}`)
}

const PEM = '"-----BEGIN CERTIFICATE-----\\nx\\n-----END CERTIFICATE-----"'

test('the full size is read with its defaults', () => {
  const result =
    read(`log: { driver: kafka, brokers: ["kafka-1:9092", "[::1]:9092"], tls: {}, sasl: { mechanism: SCRAM-SHA-512, username: u, password: kafka-password } }
queue: { driver: redis, url: "\${REDIS_URL}", tls: { ca: ${PEM} } }
archive: { driver: s3, bucket: trail, prefix: eu/one, endpoint: "http://127.0.0.1:7070", credentials: { access_key: a, secret_key: s3-secret } }`)
  assert.ok(result.ok, JSON.stringify(result))
  const { log, queue, archive, redacted } = result.config
  assert.deepEqual(log.kafka, {
    brokers: ['kafka-1:9092', '[::1]:9092'],
    replication: 3,
    tls: { ca: null, cert: null, key: null },
    sasl: { mechanism: 'SCRAM-SHA-512', username: 'u', password: 'kafka-password' },
  })
  assert.ok(queue.redis)
  assert.equal(queue.redis.url, env.REDIS_URL)
  assert.match(queue.redis.tls?.ca ?? '', /BEGIN CERTIFICATE/)
  assert.deepEqual(archive.s3, {
    bucket: 'trail',
    prefix: 'eu/one',
    endpoint: 'http://127.0.0.1:7070',
    ca: null,
    region: 'us-east-1',
    credentials: { accessKey: 'a', secretKey: 's3-secret' },
    kmsKey: null,
    storageClass: null,
  })
  assert.doesNotMatch(JSON.stringify(redacted), /kafka-password|redis-password|s3-secret/)
})

test('one box has none of them', () => {
  const result = read('')
  assert.ok(result.ok)
  const { log, queue, archive } = result.config
  assert.deepEqual([log.kafka, queue.redis, archive.s3], [null, null, null])
})

test('a driver without what it needs is a fault with the line to add', () => {
  assert.deepEqual(faultsOf('log: { driver: kafka }'), ['log has no brokers, which kafka needs'])
  assert.deepEqual(faultsOf('log: { driver: kafka, brokers: [] }'), ['log has no brokers, which kafka needs'])
  assert.deepEqual(faultsOf('queue: { driver: redis }'), ['queue has no url, which redis needs'])
  assert.deepEqual(faultsOf('archive: { driver: s3 }'), ['archive has no bucket, which s3 needs'])
})

test('a key that the chosen driver would not read is a fault', () => {
  assert.deepEqual(faultsOf('log: { brokers: ["a:1"] }'), [
    'log.brokers is read by driver kafka alone, and driver is postgres',
  ])
  assert.deepEqual(faultsOf('queue: { url: redis://cache }'), [
    'queue.url is read by driver redis alone, and driver is postgres',
  ])
  assert.deepEqual(faultsOf('archive: { bucket: trail }'), [
    'archive.bucket is read by driver s3 alone, and driver is directory',
  ])
  assert.deepEqual(faultsOf('archive: { driver: s3, bucket: trail, directory: /archive }'), [
    'archive.directory is read by driver directory alone, and driver is s3',
  ])
})

test('a driver that nobody has is one fault, and its keys none', () => {
  assert.equal(faultsOf('log: { driver: kafak, brokers: ["a:1"] }').length, 1)
})

test('credentials are whole or refused', () => {
  const sasl = (members: string): readonly string[] =>
    faultsOf(`log: { driver: kafka, brokers: ["a:1"], sasl: { ${members} } }`)
  assert.deepEqual(sasl('mechanism: PLAIN, username: u'), ['log.sasl has no password, which PLAIN needs'])
  assert.deepEqual(sasl('mechanism: OAUTHBEARER'), ['log.sasl has no token, which OAUTHBEARER needs'])
  assert.deepEqual(sasl('mechanism: OAUTHBEARER, token: t'), [])
})

test('a Redis behind Sentinels and a Redis Cluster are read, and the Sentinels’ password is hidden', () => {
  const behind = read(
    'queue: { driver: redis, url: "redis://:pw@Main_1/2", sentinels: ["s-1:26379"], sentinel_password: sentinel-secret }',
  )
  assert.ok(behind.ok, JSON.stringify(behind))
  assert.deepEqual(behind.config.queue.redis?.topology, {
    kind: 'sentinels',
    addresses: ['s-1:26379'],
    username: null,
    password: 'sentinel-secret',
  })
  assert.doesNotMatch(JSON.stringify(behind.config.redacted), /sentinel-secret|:pw/)
  const cluster = read('queue: { driver: redis, url: "redis://r-1:6379/0", cluster: [] }')
  assert.ok(cluster.ok, JSON.stringify(cluster))
  assert.deepEqual(cluster.config.queue.redis?.topology, { kind: 'cluster', addresses: [] })
})

test('what a Redis cannot be at once is a fault', () => {
  const faults = (keys: string): readonly string[] => faultsOf(`queue: { driver: redis, ${keys} }`)
  assert.deepEqual(faults('url: "redis://main", sentinels: ["a:1"], cluster: ["b:1"]'), [
    'queue.cluster stands beside sentinels: a Redis has one or the other',
  ])
  assert.deepEqual(faults('url: "redis://main", sentinels: []'), ['queue.sentinels is empty'])
  assert.deepEqual(faults('url: "redis://main", sentinel_username: me'), [
    'queue.sentinel_username is for sentinels, and there are none',
  ])
  assert.deepEqual(faults('url: "/tmp/redis.sock", cluster: []'), [
    'queue.url must be a redis:// or rediss:// URL',
  ])
  assert.deepEqual(faults('url: "redis://a:1/3", cluster: []'), [
    'queue.url names a database, and a Redis Cluster has number 0 alone',
  ])
  assert.deepEqual(faults('url: "redis://a:1", cluster: ["b:99999"]'), ['queue.cluster.0 must be host:port'])
})
