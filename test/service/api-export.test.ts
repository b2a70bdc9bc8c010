/** The export and single events on real stores: every byte as it came, from the log or from the archive. */
import assert from 'node:assert/strict'
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { openApiStage, type ApiStage } from '../support/api-stage.ts'
import { planAll } from '../support/dispatcher-stage.ts'

const HANDLERS = [{ name: 'billing' }]

async function exported(api: ApiStage, query = ''): Promise<readonly string[]> {
  const { status, text } = await api.ask(`/api/export/events${query}`)
  assert.equal(status, 200)
  return text.split('\n').slice(0, -1)
}

function fieldsOf(line: string | undefined): Record<string, unknown> {
  return JSON.parse(line ?? '') as Record<string, unknown>
}

async function storeBodies(api: ApiStage, bodies: readonly (string | Buffer)[]): Promise<readonly string[]> {
  const events = await api.stage.append(bodies.map((body) => ({ body: Buffer.from(body) })))
  await planAll(await api.stage.compose())
  return events.map(({ id }) => id)
}

test('every form of payload comes out as it came in, one line an event', async () => {
  await using api = await openApiStage({ handlers: HANDLERS, partitions: 3 })
  const spliced = [
    '{"a":1.10,"big":12345678901234567890,"e":1E5}',
    '{"name":"Grüße 🙂 \\u00e9"}',
    '"text"',
    '0',
  ]
  const broken = '{\n  "a": 1,\r\n  "b": "x\\ny"\n}'
  const encoded = [Buffer.from('a=1&b=2'), Buffer.from([0xff, 0x00, 0x7b]), Buffer.alloc(0)]
  const ids = await storeBodies(api, [...spliced, broken, ...encoded])
  const lines = await exported(api)
  assert.equal(lines.length, ids.length)
  const byId = new Map(lines.map((line) => [String(fieldsOf(line)['id']), line]))
  for (const [n, text] of spliced.entries())
    assert.ok(byId.get(ids[n] ?? '')?.includes(`"payload":${text},"created_at":`), text)
  assert.deepEqual(fieldsOf(byId.get(ids[4] ?? ''))['payload'], JSON.parse(broken))
  for (const [n, body] of encoded.entries())
    assert.equal(fieldsOf(byId.get(ids[n + 5] ?? ''))['payload_base64'], body.toString('base64'))
})

test('the export streams page after page, newest first, each event once, and stops at its limit', async () => {
  await using api = await openApiStage({ handlers: HANDLERS, partitions: 3 })
  const ids = await storeBodies(
    api,
    Array.from({ length: 2_300 }, (_, n) => `{"n":${n}}`),
  )
  const lines = await exported(api)
  assert.deepEqual(
    lines.map((line) => fieldsOf(line)['id']),
    [...ids].sort().reverse(),
  )
  assert.deepEqual(
    lines.map((line) => fieldsOf(line)['payload']),
    lines.map((line) => ({ n: ids.indexOf(String(fieldsOf(line)['id'])) })),
  )
  assert.deepEqual(await exported(api, '?limit=1200'), lines.slice(0, 1200))
})

test('what the log forgot is read from the archive, and without one it is missing aloud', async () => {
  await using api = await openApiStage({ handlers: HANDLERS })
  const ids = await storeBodies(api, ['{"n":0}', '{"n":1}', '{"n":2}'])
  const [topic] = (await api.stage.log.topics()).filter(({ name }) => name.endsWith('.shop'))
  assert(topic !== undefined)
  await api.archiveLog()
  await api.stage.log.truncate({ topic: topic.name, topicId: topic.id, partition: 0 }, 2n)
  const payloads = (await exported(api)).map((line) => fieldsOf(line)['payload'])
  assert.deepEqual(payloads, [{ n: 2 }, { n: 1 }, { n: 0 }])
  const tiers = await Promise.all(ids.map(async (id) => (await api.ask(`/api/events/${id}`)).json()['tier']))
  assert.deepEqual(tiers, ['archive', 'archive', 'log'])
  assert.equal((await api.ask(`/api/events/${ids[0]}/raw`)).text, '{"n":0}')

  api.hideArchive()
  const lines = await exported(api)
  assert.deepEqual(fieldsOf(lines.at(-1)), { code: 'API_PAYLOAD_GONE', missing: 2 })
  assert.equal(lines.filter((line) => fieldsOf(line)['payload_missing'] === true).length, 2)
  const gone = await api.ask(`/api/events/${ids[0]}/raw`)
  assert.deepEqual([gone.status, gone.json()['code']], [410, 'API_PAYLOAD_GONE'])
})

test('a payload whose archived bytes were changed is an error with a code, never shown', async () => {
  await using api = await openApiStage({ handlers: HANDLERS })
  const [id] = await storeBodies(api, ['{"n":0}', '{"n":1}'])
  const [topic] = (await api.stage.log.topics()).filter(({ name }) => name.endsWith('.shop'))
  assert(topic !== undefined)
  await api.archiveLog()
  await api.stage.log.truncate({ topic: topic.name, topicId: topic.id, partition: 0 }, 2n)
  const prefix = `data/topic=${topic.name}/`
  const [data] = await Array.fromAsync(api.archive.list(prefix))
  const file = join(api.archive.location, data?.key ?? '')
  const bytes = await readFile(file)
  await chmod(file, 0o644)
  await writeFile(file, Buffer.from(bytes).fill(0, 20, 21))
  for (const path of [`/api/events/${id}`, `/api/events/${id}/raw`]) {
    const answer = await api.ask(path)
    assert.deepEqual([answer.status, answer.json()['code']], [500, 'ARCHIVE_SEGMENT_ALTERED'])
  }
  await writeFile(file, bytes)
  assert.equal((await api.ask(`/api/events/${id}/raw`)).text, '{"n":0}')
})
