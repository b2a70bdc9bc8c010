/**
 * What the S3 store must do beyond the port's suite, on any server with Object Lock: locks that hold, deletions that are
 * told, and servers that are killed, stopped, gone, or whose answers are lost.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  PutObjectRetentionCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import {
  openS3ForReading,
  openS3Store,
  type S3Store,
  type S3StoreOptions,
} from '../../adapters/s3/s3-store.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { NewObject } from '../../core/ports/archive-store.ts'
import { silentLogger } from '../support/postgres.ts'
import { scale } from '../support/scale.ts'
import { startFaultProxy, type Fault } from '../support/services/fault-proxy.ts'
import { createLockedBucket, REGION, s3Client, type S3Service } from '../support/services/s3-service.ts'
import { bytesOf, failsWith, keysOf, objectOf, testArchiveStore } from './archive-store.ts'

const HOUR_MS = 3_600_000

export interface S3ServerUnderTest {
  readonly service: S3Service
  readonly ordersFolders?: boolean
}

export function testS3Store({ service, ordersFolders = false }: S3ServerUnderTest): void {
  let bucket = ''
  let scratch = ''
  let client: S3Client
  const stores = new AsyncDisposableStack()

  before(async () => {
    bucket = await createLockedBucket(service)
    scratch = await mkdtemp(path.join(tmpdir(), 's3-store-'))
    client = s3Client(service.endpoint, service)
  })
  after(async () => {
    client.destroy()
    await stores.disposeAsync()
    await rm(scratch, { recursive: true, force: true })
    await service[Symbol.asyncDispose]()
  })

  const optionsOf = (changed: Partial<S3StoreOptions> = {}): S3StoreOptions => ({
    ...optionsFor(service, bucket),
    ...changed,
  })
  const open = (changed: Partial<S3StoreOptions> = {}): S3Store => stores.use(openS3Store(optionsOf(changed)))
  const at = (store: S3Store, key: string): { Bucket: string; Key: string } => {
    const [, , name = '', ...folder] = store.location.split('/')
    return { Bucket: name, Key: [...folder, key].join('/') }
  }

  testArchiveStore({ open: () => Promise.resolve(open()), scratch: () => scratch, ordersFolders })

  test('an object has the version, the lock and the time that the store gave it', async () => {
    const store = open()
    const untilMs = Math.ceil((Date.now() + HOUR_MS) / 1000) * 1000
    for (const mode of ['governance', 'compliance'] as const) {
      const lock = { mode, untilMs }
      assert.equal(await store.create({ ...objectOf(mode, Buffer.from(mode)), lock }), 'created')
      const head = await store.head(mode)
      assert.deepEqual(head?.lock, lock)
      assert.notEqual(head.versionId, null)
      assert(Math.abs(head.lastModifiedMs - Date.now()) < 60_000)
    }
    await store.create(objectOf('plain', Buffer.from('x')))
    assert.equal((await store.head('plain'))?.lock, null)
  })

  test('a locked version can neither be deleted nor be locked for a shorter time before its date', async () => {
    const store = open()
    const untilMs = Date.now() + HOUR_MS
    for (const mode of ['governance', 'compliance'] as const) {
      await store.create({ ...objectOf(mode, Buffer.from(mode)), lock: { mode, untilMs } })
      const VersionId = (await store.head(mode))?.versionId ?? ''
      const BypassGovernanceRetention = mode === 'compliance'
      const version = { ...at(store, mode), VersionId, BypassGovernanceRetention }
      await assert.rejects(client.send(new DeleteObjectCommand(version)), { name: 'AccessDenied' })
      const Retention = {
        Mode: mode === 'governance' ? ('GOVERNANCE' as const) : ('COMPLIANCE' as const),
        RetainUntilDate: new Date(Date.now() + HOUR_MS / 2),
      }
      await assert.rejects(client.send(new PutObjectRetentionCommand({ ...version, Retention })))
      assert.equal(String(await store.read(mode, 100)), mode)
    }
  })

  test('a deleted object is never taken for an absent one, and is back when its marker is gone', async () => {
    const store = open()
    const lock = { mode: 'governance', untilMs: Date.now() + HOUR_MS } as const
    const object: NewObject = { ...objectOf('a/k', Buffer.from('first')), lock }
    await store.create(object)
    const { VersionId } = await client.send(new DeleteObjectCommand(at(store, 'a/k')))
    for (const call of [
      () => store.read('a/k', 100),
      () => store.open('a/k'),
      () => store.head('a/k'),
      () => store.create(objectOf('a/k', Buffer.from('second'))),
    ]) {
      await assert.rejects(call, failsWith('ARCHIVE_DELETE_MARKER'))
    }
    assert.equal(await store.create(objectOf('a/k2', Buffer.from('its neighbour'))), 'created')
    await client.send(new DeleteObjectCommand({ ...at(store, 'a/k'), VersionId }))
    assert.equal(String(await store.read('a/k', 100)), 'first')
    assert.equal(await store.create(object), 'exists')
  })

  test('versions and markers are listed in the order of keys, the newest first', async () => {
    const store = open()
    for (const key of ['a', 'b/c', 'd']) await store.create(objectOf(key, Buffer.from(key)))
    await client.send(new DeleteObjectCommand(at(store, 'b/c')))
    const listed = await Array.fromAsync(store.listVersions(''))
    assert.deepEqual(
      listed.map(({ key, isLatest, isDeleteMarker, size }) => [key, isLatest, isDeleteMarker, size]),
      [
        ['a', true, false, 1],
        ['b/c', true, true, null],
        ['b/c', false, false, 3],
        ['d', true, false, 1],
      ],
    )
    assert.equal(new Set(listed.map(({ versionId }) => versionId)).size, 4)
    assert.deepEqual(await keysOf(store, ''), ['a', 'd'])
    assert.deepEqual((await Array.fromAsync(store.listVersions('b'))).length, 2)
  })

  test('of eight creators from files at once one wins, and no file stays open', async () => {
    const store = open()
    const openBefore = (await readdir('/proc/self/fd')).length
    const size = 3_000_000
    for (let round = 0; round < 2; round++) {
      const files = await Promise.all(
        Array.from({ length: 8 }, () => fileObject(scratch, `race/${String(round)}`, size)),
      )
      const outcomes = await Promise.all(files.map(({ object }) => store.create(object)))
      assert.equal(outcomes.filter((outcome) => outcome === 'created').length, 1)
      const winner = files[outcomes.indexOf('created')]
      assert.deepEqual(await bytesOf(await store.open(`race/${String(round)}`)), winner?.bytes)
    }
    await store[Symbol.asyncDispose]()
    assert((await readdir('/proc/self/fd')).length <= openBefore + 2)
  })

  test('a reader with its own key reads the archive and may not write, and a wrong key is told', async () => {
    const store = open()
    const prefix = store.location.slice(`s3://${bucket}/`.length)
    await assert.rejects(openS3ForReading(optionsOf({ prefix })), failsWith('ARCHIVE_NOT_FOUND'))
    await store.create(objectOf('genesis.note', Buffer.from('x')))
    const reader = stores.use(await openS3ForReading(optionsOf({ prefix, credentials: service.reader })))
    assert.equal(String(await reader.read('genesis.note', 10)), 'x')
    assert.equal(await reader.read('absent', 10), null)
    assert.deepEqual(await keysOf(reader, ''), ['genesis.note'])
    await assert.rejects(reader.create(objectOf('k', Buffer.from('x'))), failsWith('ARCHIVE_STORE_DENIED'))
    const wrong = open({ credentials: { ...service, secretKey: 'wrong' } })
    await assert.rejects(wrong.read('k', 1), failsWith('ARCHIVE_STORE_DENIED'))
    await assert.rejects(
      openS3ForReading(optionsOf({ bucket: 'no-such-bucket' })),
      failsWith('ARCHIVE_NOT_FOUND'),
    )
  })

  test('a bucket that is not there is an error and not an empty archive', async () => {
    const store = open({ bucket: 'no-such-bucket' })
    await assert.rejects(
      store.create(objectOf('k', Buffer.from('x'))),
      failsWith('ARCHIVE_STORE_UNAVAILABLE'),
    )
    await assert.rejects(store.read('k', 1), failsWith('ARCHIVE_STORE_UNAVAILABLE'))
    await assert.rejects(store.head('k'), failsWith('ARCHIVE_STORE_UNAVAILABLE'))
    await assert.rejects(keysOf(store, ''), failsWith('ARCHIVE_STORE_UNAVAILABLE'))
  })

  test('a bucket without versions serves as well: what is deleted there is absent', async () => {
    const plain = `plain-${randomBytes(6).toString('hex')}`
    await client.send(new CreateBucketCommand({ Bucket: plain }))
    const store = open({ bucket: plain, prefix: '' })
    assert.equal(store.location, `s3://${plain}`)
    assert.equal(await store.read('a/k', 10), null)
    assert.equal(await store.create(objectOf('a/k', Buffer.from('x'))), 'created')
    assert.equal(await store.create(objectOf('a/k', Buffer.from('y'))), 'exists')
    assert.deepEqual(await keysOf(store, ''), ['a/k'])
    await client.send(new DeleteObjectCommand(at(store, 'a/k')))
    assert.equal(await store.head('a/k'), null)
    assert.equal(await store.create(objectOf('a/k', Buffer.from('y'))), 'created')
    assert.equal(String(await store.read('a/k', 10)), 'y')
  })

  test('a create goes on over refusals that pass and over lost requests and answers', async () => {
    await using proxy = await startFaultProxy(service.endpoint)
    const store = open({ endpoint: proxy.endpoint })
    const conflict = answer(409, 'ConditionalRequestConflict')
    const slow = answer(503, 'SlowDown')
    for (const object of [objectOf('', randomBytes(2000)), (await fileObject(scratch, '', 300_000)).object]) {
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

  test('a call gives up when the store says "later" for too long, and asks no more than a few times', async () => {
    await using proxy = await startFaultProxy(service.endpoint)
    const store = open({ endpoint: proxy.endpoint })
    proxy.spoil(
      'PUT',
      Array.from({ length: 10 }, () => answer(409, 'ConditionalRequestConflict')),
    )
    const unavailable = failsWith('ARCHIVE_STORE_UNAVAILABLE')
    await assert.rejects(store.create(objectOf('k', Buffer.from('x'))), unavailable)
    assert.equal(proxy.seen('PUT').length, 4)
    const impatient = open({ endpoint: proxy.endpoint, requestTimeoutMs: 250 })
    await assert.rejects(impatient.create(objectOf('k', Buffer.from('x'))), unavailable)
  })

  test('reads go on over an answer that was lost', async () => {
    await using proxy = await startFaultProxy(service.endpoint)
    const store = open({ endpoint: proxy.endpoint })
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
    await using proxy = await startFaultProxy(service.endpoint)
    const store = open({ endpoint: proxy.endpoint, requestTimeoutMs: 400 })
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

  test('an object is written with its condition, hash, lock, class and key in one signed request', async () => {
    await using proxy = await startFaultProxy(service.endpoint)
    const store = open({ endpoint: proxy.endpoint, storageClass: 'STANDARD_IA', kmsKey: 'alias/archive' })
    const object = objectOf('k', Buffer.from('x'))
    proxy.spoil('PUT', [{ kind: 'answer', status: 200, body: '' }])
    const lock = { mode: 'compliance', untilMs: Date.UTC(2030, 0, 1) } as const
    assert.equal(await store.create({ ...object, lock }), 'created')
    const headers: Readonly<Record<string, unknown>> = proxy.seen('PUT')[0] ?? {}
    const wanted = {
      'if-none-match': '*',
      'x-amz-content-sha256': object.sha256.toString('hex'),
      'x-amz-checksum-sha256': object.sha256.toString('base64'),
      'x-amz-object-lock-mode': 'COMPLIANCE',
      'x-amz-storage-class': 'STANDARD_IA',
      'x-amz-server-side-encryption': 'aws:kms',
      'x-amz-server-side-encryption-aws-kms-key-id': 'alias/archive',
    }
    for (const [name, value] of Object.entries(wanted)) {
      assert.equal(headers[name], value)
      assert(String(headers['authorization']).includes(name), `${name} is signed`)
    }
    assert.equal(Date.parse(String(headers['x-amz-object-lock-retain-until-date'])), lock.untilMs)
  })

  test('what was acknowledged is there with its bytes after the server was killed in the midst of creates', async () => {
    for (let round = 0; round < scale.s3Kills; round++) {
      const store = open({ requestTimeoutMs: 2_000 })
      const acknowledged = await createUntilKilled(store, {
        acknowledgedMin: 3 + (round % 8) * 5,
        kill: () => service.kill('SIGKILL'),
      })
      await service.restart()
      for (const [key, bytes] of acknowledged)
        assert.deepEqual(await store.read(key, bytes.length), bytes, key)
      for await (const { key } of store.list('')) {
        assert.equal((await store.read(key, 1 << 20))?.length, BODY_BYTES, `${key} is whole or not there`)
      }
    }
  })

  test('a server that is down or stands still is told in time, and the same store works when it is back', async () => {
    const store = open({ requestTimeoutMs: 1_500 })
    await store.create(objectOf('k', Buffer.from('x')))
    await service.kill('SIGKILL')
    await assert.rejects(store.read('k', 1), failsWith('ARCHIVE_STORE_UNAVAILABLE'))
    await service.restart()
    assert.equal(String(await store.read('k', 1)), 'x')
    await service.kill('SIGSTOP')
    const startedAt = performance.now()
    try {
      await assert.rejects(store.read('k', 1), (error) => {
        assert(isHooktrailError(error, 'ARCHIVE_STORE_UNAVAILABLE'))
        return /^no answer within \d+ ms$/.test(String(error.details['reason']))
      })
      await assert.rejects(
        store.create(objectOf('l', Buffer.from('x'))),
        failsWith('ARCHIVE_STORE_UNAVAILABLE'),
      )
      await assert.rejects(keysOf(store, ''), failsWith('ARCHIVE_STORE_UNAVAILABLE'))
    } finally {
      await service.kill('SIGCONT')
    }
    assert(performance.now() - startedAt < 3 * 2_500)
    assert.equal(String(await store.read('k', 1)), 'x')
  })
}

/** A prefix of its own for each call. */
export function optionsFor({ endpoint, accessKey, secretKey }: S3Service, bucket: string): S3StoreOptions {
  return {
    bucket,
    prefix: `prod/${randomBytes(6).toString('hex')}`,
    endpoint,
    region: REGION,
    credentials: { accessKey, secretKey },
    kmsKey: null,
    storageClass: null,
    ca: null,
    requestTimeoutMs: 20_000,
    clock: systemClock,
    logger: silentLogger,
  }
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

function answer(status: number, code: string): Fault {
  return { kind: 'answer', status, body: `<Error><Code>${code}</Code><Message>spoiled</Message></Error>` }
}

async function fileObject(
  folder: string,
  key: string,
  size: number,
): Promise<{ readonly object: NewObject; readonly bytes: Buffer }> {
  const bytes = randomBytes(size)
  const file = path.join(folder, randomBytes(8).toString('hex'))
  await writeFile(file, bytes)
  return { bytes, object: { ...objectOf(key, bytes), body: { path: file, size } } }
}
