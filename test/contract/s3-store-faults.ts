/**
 * The S3 store when requests, answers and servers are lost: what it goes on over, what it tells, and in which time.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import type { S3Store } from '../../adapters/s3/s3-store.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { S3Stage } from '../support/s3-stage.ts'
import { scale } from '../support/scale.ts'
import { startFaultProxy, type Fault } from '../support/services/fault-proxy.ts'
import type { KillableS3 } from '../support/services/s3-service.ts'
import { bytesOf, failsWith, fileObject, keysOf, objectOf } from './archive-store.ts'

export function testS3Faults(stage: () => S3Stage): void {
  test('a create goes on over refusals that pass and over lost requests and answers', async () => {
    await using proxy = await startFaultProxy(stage().service.endpoint)
    const store = stage().open({ endpoint: proxy.endpoint })
    const conflict = answer(409, 'ConditionalRequestConflict')
    const slow = answer(503, 'SlowDown')
    for (const object of [
      objectOf('', randomBytes(2000)),
      (await fileObject(stage().scratch, '', 300_000)).object,
    ]) {
      const create = (key: string): ReturnType<S3Store['create']> => store.create({ ...object, key })
      const folder = randomBytes(4).toString('hex')
      proxy.spoil('PUT', [conflict, slow])
      assert.equal(await create(`${folder}/refused`), 'created')
      proxy.spoil('PUT', [{ kind: 'lost-request' }])
      assert.equal(await create(`${folder}/lost-request`), 'created')
      // It had landed: the caller reads what is there, and finds its own.
      proxy.spoil('PUT', [{ kind: 'lost-answer' }])
      assert.equal(await create(`${folder}/lost-answer`), 'exists')
      assert.equal((await Array.fromAsync(store.listVersions(folder))).length, 3)
    }
  })

  test('a large create that loses under its upload is told so, though the store may close the connection', async () => {
    await using proxy = await startFaultProxy(stage().service.endpoint)
    const store = stage().open({ endpoint: proxy.endpoint })
    const { object } = await fileObject(stage().scratch, 'k', 4_000_000)
    await store.create(object)
    for (let round = 0; round < 8; round++) {
      // What the look before the upload saw while the other one was still under way.
      proxy.spoil('GET', [{ kind: 'answer', status: 200, body: '<ListVersionsResult></ListVersionsResult>' }])
      assert.equal(await store.create(object), 'exists')
    }
    assert(proxy.seen('PUT').length >= 9)
    assert.equal((await Array.fromAsync(store.listVersions('k'))).length, 1)
  })

  test('a call gives up when the store says "later" for too long, and asks no more than a few times', async () => {
    await using proxy = await startFaultProxy(stage().service.endpoint)
    const store = stage().open({ endpoint: proxy.endpoint })
    proxy.spoil(
      'PUT',
      Array.from({ length: 10 }, () => answer(409, 'ConditionalRequestConflict')),
    )
    const unavailable = failsWith('ARCHIVE_STORE_UNAVAILABLE')
    await assert.rejects(store.create(objectOf('k', Buffer.from('x'))), unavailable)
    assert.equal(proxy.seen('PUT').length, 4)
    const impatient = stage().open({ endpoint: proxy.endpoint, requestTimeoutMs: 250 })
    await assert.rejects(impatient.create(objectOf('k', Buffer.from('x'))), unavailable)
  })

  test('reads go on over an answer that was lost', async () => {
    await using proxy = await startFaultProxy(stage().service.endpoint)
    const store = stage().open({ endpoint: proxy.endpoint })
    await store.create(objectOf('k', Buffer.from('body')))
    const lost: readonly Fault[] = [{ kind: 'lost-answer' }, { kind: 'lost-request' }]
    proxy.spoil('GET', lost)
    assert.equal(String(await store.read('k', 10)), 'body')
    proxy.spoil('GET', lost)
    assert.deepEqual(await keysOf(store, ''), ['k'])
    proxy.spoil('HEAD', lost)
    assert.equal((await store.head('k'))?.size, 4)
  })

  test('a body that breaks off is read again as a whole, and as a stream is an error and never short', async () => {
    await using proxy = await startFaultProxy(stage().service.endpoint)
    const store = stage().open({ endpoint: proxy.endpoint, requestTimeoutMs: 400 })
    const body = randomBytes(100_000)
    await store.create(objectOf('k', body))
    proxy.spoil('GET', [{ kind: 'cut-answer' }])
    assert.deepEqual(await store.read('k', body.length), body)
    const unavailable = failsWith('ARCHIVE_STORE_UNAVAILABLE')
    for (const kind of ['cut-answer', 'stalled-answer'] as const) {
      proxy.spoil('GET', [{ kind }])
      const stream = await store.open('k')
      await assert.rejects(bytesOf(stream), unavailable, kind)
    }
    proxy.spoil('GET', [{ kind: 'stalled-answer' }])
    await assert.rejects(store.read('k', body.length), unavailable)
    proxy.spoil('GET', [{ kind: 'cut-answer' }])
    const unread = await store.open('k')
    assert.deepEqual(await bytesOf(await store.open('k')), body, 'a stream that nobody reads does no harm')
    await assert.rejects(bytesOf(unread), unavailable)
  })
}

/** The same, when the server itself is killed or stands still. */
export function testS3Kills(stage: () => S3Stage, server: KillableS3): void {
  test('what was acknowledged is there with its bytes after the server was killed in the midst of creates', async () => {
    for (let round = 0; round < scale.s3Kills; round++) {
      const store = stage().open({ requestTimeoutMs: 2_000 })
      const acknowledged = await createUntilKilled(store, {
        acknowledgedMin: 3 + (round % 8) * 5,
        kill: () => server.kill('SIGKILL'),
      })
      await server.restart()
      for (const [key, bytes] of acknowledged)
        assert.deepEqual(await store.read(key, bytes.length), bytes, key)
      for await (const { key } of store.list('')) {
        assert.equal((await store.read(key, 1 << 20))?.length, BODY_BYTES, `${key} is whole or not there`)
      }
    }
  })

  test('a server that is down or stands still is told in time, and the same store works when it is back', async () => {
    const store = stage().open({ requestTimeoutMs: 1_500 })
    await store.create(objectOf('k', Buffer.from('x')))
    await server.kill('SIGKILL')
    await assert.rejects(store.read('k', 1), failsWith('ARCHIVE_STORE_UNAVAILABLE'))
    await server.restart()
    assert.equal(String(await store.read('k', 1)), 'x')
    await server.kill('SIGSTOP')
    const startedAt = performance.now()
    try {
      const error = await firstFault(() => store.read('k', 1))
      assert(isHooktrailError(error, 'ARCHIVE_STORE_UNAVAILABLE'))
      assert.match(String(error.details['reason']), /^no answer within \d+ ms$/)
      await assert.rejects(
        store.create(objectOf('l', Buffer.from('x'))),
        failsWith('ARCHIVE_STORE_UNAVAILABLE'),
      )
      await assert.rejects(keysOf(store, ''), failsWith('ARCHIVE_STORE_UNAVAILABLE'))
    } finally {
      await server.kill('SIGCONT')
    }
    assert(performance.now() - startedAt < 3 * 2_500)
    assert.equal(String(await store.read('k', 1)), 'x')
  })
}

const BODY_BYTES = 60_000

interface KilledCreates {
  readonly acknowledgedMin: number
  readonly kill: () => Promise<void>
}

/** Four creators side by side, until one of them meets the dead server. */
async function createUntilKilled(
  store: S3Store,
  { acknowledgedMin, kill }: KilledCreates,
): Promise<ReadonlyMap<string, Buffer>> {
  const acknowledged = new Map<string, Buffer>()
  const killed: Promise<void>[] = []
  const creator = async (name: string): Promise<void> => {
    for (let n = 0; ; n++) {
      const bytes = randomBytes(BODY_BYTES)
      const key = `${name}/${String(n)}`
      assert.equal(await store.create(objectOf(key, bytes)), 'created')
      acknowledged.set(key, bytes)
      if (acknowledged.size >= acknowledgedMin && killed.length === 0) killed.push(kill())
    }
  }
  const ends = await Promise.allSettled(['a', 'b', 'c', 'd'].map(creator))
  await Promise.all(killed)
  for (const end of ends) {
    assert(end.status === 'rejected')
    assert(isHooktrailError(end.reason, 'ARCHIVE_STORE_UNAVAILABLE'), String(end.reason))
  }
  assert(acknowledged.size >= acknowledgedMin)
  return acknowledged
}

/** A process takes a moment to stop, and answers until then. */
async function firstFault(call: () => Promise<unknown>): Promise<unknown> {
  for (let calls = 0; calls < 1_000; calls++) {
    try {
      await call()
    } catch (error) {
      return error
    }
  }
  throw new Error('the server goes on answering')
}

function answer(status: number, code: string): Fault {
  return { kind: 'answer', status, body: `<Error><Code>${code}</Code><Message>spoiled</Message></Error>` }
}
