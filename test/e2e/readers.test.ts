/**
 * What the full size keeps, read by clients that others wrote and keys that only read, as docs/readers.md says. Goal:
 * nobody needs hooktrail to see raw bytes, attempts, lags and the archive. Method: the page's own snippets run against
 * a real installation: kafkajs on Kafka, boto3 on the bucket, psql on Postgres.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import '../support/kafkajs-warning.ts'
import { Kafka, logLevel, type KafkaMessage } from 'kafkajs'
import { deliveredJobs } from '../support/archive-reader.ts'
import { sendPing } from '../support/deliveries.ts'
import { eventually, freePort, startInstallation, type Installation } from '../support/installation.ts'
import { startReceiver } from '../support/receiver.ts'
import { orSkip } from '../support/services/local-process.ts'
import { boto3Env, findPsql } from '../support/services/readers.ts'
import { REGION, startOrReason } from '../support/services/s3-service.ts'
import { openSize, type FullSize } from '../support/sizes.ts'
import { ROOT } from '../support/source-tree.ts'

const SECRET = 'a-secret-for-the-readers'
const WAIT_MS_MAX = 120_000
const BODIES = [
  Buffer.from('{"zen":"grüße ☕",   "n": 12345678901234567890}'),
  Buffer.from([0x7b, 0xff, 0x00, 0xfe, 0x7d]),
  Buffer.from('plain text'),
]
const TOPIC = 'hooktrail.events.github'

/** Prints what the page's `segments` yields, and what becomes of writes. */
const AUDIT = `
import base64, sys
from botocore.exceptions import ClientError

def answer(call, key, **more):
    try:
        getattr(boto3.client("s3"), call)(Bucket=sys.argv[1], Key=key, **more)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "done"

found = list(segments(*sys.argv[1:]))
events = [row for _, rows in found for row in rows if ".events." in row["topic"]]
taken = sys.argv[2] + "/" + found[0][0]["data"]["key"]
print(json.dumps({
    "values": {
        row["event_id"]: row["value_base64"] or base64.b64encode(row["value"].encode()).decode() for row in events
    },
    "writes": [
        answer("put_object", sys.argv[2] + "/another", Body=b"x"),
        answer("put_object", taken, Body=b"x"),
        answer("delete_object", taken),
    ],
}))
`

const run = promisify(execFile)

interface Place {
  readonly size: FullSize
  readonly trail: Installation
  readonly folder: string
  readonly ids: readonly string[]
  /** Whose first attempt failed. */
  readonly failed: string
}

const STEPS = {
  'kafkajs finds the bytes as they came, and their CloudEvents headers': readsKafka,
  'the offsets of a group show that its handler is not behind': readsLag,
  'boto3 reads each data object as its manifest names it, and may write and delete nothing': readsArchive,
  'psql reads the attempts of a job': readsAttempts,
}

test('clients that others wrote read all that is kept: full', async (t) => {
  await using opened = new AsyncDisposableStack()
  const size = opened.use(await orSkip(t, openSize('full')))
  if (size === null) return
  const folder = mkdtempSync(join(tmpdir(), 'hooktrail-readers-'))
  opened.defer(() => {
    rmSync(folder, { recursive: true, force: true })
  })
  const receiver = opened.use(await startReceiver())
  // The first request fails, whichever event it is of: that job has two attempts.
  receiver.script('/one', (n) => (n === 0 ? 500 : 200))
  const config = `${size.config}
delivery: { default_retry: { max: 5, backoff: [100ms] } }
sources: { github: { verify: github, secrets: ['${SECRET}'] } }
handlers: { one: { source: github, url: '${receiver.url}/one', allow_private: true } }
`
  const port = await freePort()
  const trail = opened.use(await startInstallation({ folder, port, config, env: size.env }))
  const ids: string[] = []
  for (const [n, body] of BODIES.entries())
    ids.push(await sendPing(trail.url, { secret: SECRET, body, delivery: `ping-${n}` }))
  await eventually('each event and its successful attempt is archived', WAIT_MS_MAX, () => {
    const delivered = deliveredJobs(size.rows(trail.home))
    return Promise.resolve(ids.every((id) => delivered.has(`${id}.one`)) ? true : null)
  })
  const failed = String(receiver.requests[0]?.headers['x-hooktrail-event-id'])
  for (const [name, step] of Object.entries(STEPS))
    await t.test(name, (context) => step({ size, trail, folder, ids, failed }, context))
})

async function readsKafka({ size, ids }: Place): Promise<void> {
  const consumer = kafkaOf(size).consumer({ groupId: 'somebody-else' })
  await consumer.connect()
  const messages: KafkaMessage[] = []
  const all = Promise.withResolvers<void>()
  try {
    await consumer.subscribe({ topic: TOPIC, fromBeginning: true })
    await consumer.run({
      eachMessage: ({ message }) => {
        if (messages.push(message) === BODIES.length) all.resolve()
        return Promise.resolve()
      },
    })
    await all.promise
  } finally {
    await consumer.disconnect()
  }
  for (const [n, id] of ids.entries()) {
    const message = messages.find(({ headers }) => String(headers?.['ce_id']) === id)
    assert.deepEqual(message?.value, BODIES[n])
    const attributes = ['ce_specversion', 'ce_source', 'ce_type'].map((name) =>
      String(message?.headers?.[name]),
    )
    assert.deepEqual(attributes, ['1.0', '/hooktrail/github', 'ping'])
  }
}

async function readsLag({ size }: Place): Promise<void> {
  const admin = kafkaOf(size).admin()
  await admin.connect()
  try {
    const ends = (await admin.fetchTopicOffsets(TOPIC)).map(({ partition, high }) => `${partition} ${high}`)
    await eventually(
      'the group of the handler stands at the end of each partition',
      WAIT_MS_MAX,
      async () => {
        const [group] = await admin.fetchOffsets({ groupId: 'hooktrail.one', topics: [TOPIC] })
        const offsets = new Set(group?.partitions.map(({ partition, offset }) => `${partition} ${offset}`))
        return ends.every((end) => offsets.has(end)) ? true : null
      },
    )
  } finally {
    await admin.disconnect()
  }
}

function kafkaOf({ servers }: FullSize): Kafka {
  return new Kafka({
    clientId: 'reader',
    brokers: [...servers.kafka.brokers],
    logLevel: logLevel.NOTHING,
  })
}

async function readsArchive({ size, trail, folder, ids }: Place, t: TestContext): Promise<void> {
  const python = await orSkip(t, startOrReason(boto3Env))
  if (python === null) return
  const file = join(folder, 'audit.py')
  writeFileSync(file, `${snippet('python')}\n${AUDIT}`)
  const [, , bucket = '', ...prefix] = size.archive(trail.home).split('/')
  const env = { ...process.env, ...python, ...size.env, AWS_DEFAULT_REGION: REGION }
  const { stdout } = await run('python3', [file, bucket, prefix.join('/')], { env })
  const found = JSON.parse(stdout) as { values: Record<string, string>; writes: readonly string[] }
  const sent = ids.map((id, n) => [id, BODIES[n]?.toString('base64')])
  assert.deepEqual(found.values, Object.fromEntries(sent))
  assert.deepEqual(found.writes, ['AccessDenied', 'AccessDenied', 'AccessDenied'])
}

async function readsAttempts({ size, folder, failed }: Place, t: TestContext): Promise<void> {
  const psql = await orSkip(t, startOrReason(findPsql))
  if (psql === null) return
  const file = join(folder, 'attempts.sql')
  writeFileSync(file, snippet('sql'))
  const { url } = size.servers.postgres
  const options = ['--no-psqlrc', '--csv', '-v', 'ON_ERROR_STOP=1']
  const role = `CREATE ROLE auditor LOGIN; GRANT USAGE ON SCHEMA hooktrail TO auditor;
GRANT SELECT ON hooktrail.attempts TO auditor`
  await run(psql.command, [url, ...options, '-c', role])
  const auditor = [url.replace(/\/\/[^@]+@/, '//auditor@'), ...options]
  const event = ['-v', `event_id=${failed}`, '-v', 'handler=one']
  const { stdout } = await run(psql.command, [...auditor, ...event, '-f', file])
  const [names = '', ...rows] = stdout
    .trim()
    .split('\n')
    .map((line) => line.split(','))
  assert.deepEqual(names.slice(0, 3), ['attempt', 'status_code', 'error_class'])
  assert.deepEqual(
    rows.map((row) => row.slice(0, 3)),
    [
      ['1', '500', 'http_5xx'],
      ['2', '200', ''],
    ],
  )
  await assert.rejects(
    run(psql.command, [...auditor, '-c', 'DELETE FROM hooktrail.attempts']),
    /permission denied/,
  )
}

/** The page's own, in this language. */
function snippet(language: string): string {
  const page = readFileSync(join(ROOT, 'docs', 'readers.md'), 'utf8')
  return page.split(`\`\`\`${language}\n`)[1]?.split('```')[0] ?? assert.fail(`no ${language} in the page`)
}
