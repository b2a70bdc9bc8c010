/** What the S3 store must do beyond the port's suite, on any server with Object Lock: locks that hold, deletions that are told. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { CreateBucketCommand, DeleteObjectCommand, PutObjectRetentionCommand } from '@aws-sdk/client-s3'
import { openS3ForReading, type S3Store } from '../../adapters/s3/s3-store.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { NewObject } from '../../core/ports/archive-store.ts'
import { openS3Stage, type S3Stage } from '../support/s3-stage.ts'
import { startFaultProxy } from '../support/services/fault-proxy.ts'
import { isKillable, type S3Keys, type S3Service } from '../support/services/s3-service.ts'
import { bytesOf, failsWith, fileObject, keysOf, objectOf, testArchiveStore } from './archive-store.ts'
import { testS3Faults, testS3Kills } from './s3-store-faults.ts'

const HOUR_MS = 3_600_000

export interface S3ServerUnderTest {
  readonly service: S3Service
  readonly ordersFolders?: boolean
}

/** The port's suite, then both of S3's. The service is closed in the end. */
export function testS3Store({ service, ordersFolders = false }: S3ServerUnderTest): void {
  let opened: S3Stage
  const stage = (): S3Stage => opened
  before(async () => {
    opened = await openS3Stage(service)
  })
  after(async () => {
    await opened[Symbol.asyncDispose]()
    await service[Symbol.asyncDispose]()
  })
  const open = (): Promise<S3Store> => Promise.resolve(stage().open())
  testArchiveStore({ open, scratch: () => stage().scratch, ordersFolders })
  testBucket(stage)
  testPlainBucket(stage, service)
  testReader(stage, service.reader)
  testS3Faults(stage)
  if (isKillable(service)) testS3Kills(stage, service)
}

function testBucket(stage: () => S3Stage): void {
  test('an object has the version, the lock and the time that the store gave it', async () => {
    const store = stage().open()
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
    const store = stage().open()
    const untilMs = Date.now() + HOUR_MS
    for (const mode of ['governance', 'compliance'] as const) {
      await store.create({ ...objectOf(mode, Buffer.from(mode)), lock: { mode, untilMs } })
      const VersionId = (await store.head(mode))?.versionId ?? ''
      const BypassGovernanceRetention = mode === 'compliance'
      const version = { ...stage().at(store, mode), VersionId, BypassGovernanceRetention }
      await assert.rejects(stage().client.send(new DeleteObjectCommand(version)), { name: 'AccessDenied' })
      const Retention = {
        Mode: mode === 'governance' ? ('GOVERNANCE' as const) : ('COMPLIANCE' as const),
        RetainUntilDate: new Date(Date.now() + HOUR_MS / 2),
      }
      await assert.rejects(stage().client.send(new PutObjectRetentionCommand({ ...version, Retention })))
      assert.equal(String(await store.read(mode, 100)), mode)
    }
  })

  test('a deleted object is never taken for an absent one, and is back when its marker is gone', async () => {
    const store = stage().open()
    const lock = { mode: 'governance', untilMs: Date.now() + HOUR_MS } as const
    const object: NewObject = { ...objectOf('a/k', Buffer.from('first')), lock }
    await store.create(object)
    const { VersionId } = await stage().client.send(new DeleteObjectCommand(stage().at(store, 'a/k')))
    for (const call of [
      () => store.read('a/k', 100),
      () => store.open('a/k'),
      () => store.head('a/k'),
      () => store.create(objectOf('a/k', Buffer.from('second'))),
    ]) {
      await assert.rejects(call, failsWith('ARCHIVE_DELETE_MARKER'))
    }
    assert.equal(await store.create(objectOf('a/k2', Buffer.from('its neighbour'))), 'created')
    await stage().client.send(new DeleteObjectCommand({ ...stage().at(store, 'a/k'), VersionId }))
    assert.equal(String(await store.read('a/k', 100)), 'first')
    assert.equal(await store.create(object), 'exists')
  })

  test('versions and markers are listed in the order of keys, the newest first', async () => {
    const store = stage().open()
    for (const key of ['a', 'b/c', 'd']) await store.create(objectOf(key, Buffer.from(key)))
    await stage().client.send(new DeleteObjectCommand(stage().at(store, 'b/c')))
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
    const store = stage().open()
    const openBefore = (await readdir('/proc/self/fd')).length
    const size = 3_000_000
    for (let round = 0; round < 2; round++) {
      const files = await Promise.all(
        Array.from({ length: 8 }, () => fileObject(stage().scratch, `race/${String(round)}`, size)),
      )
      const outcomes = await Promise.all(files.map(({ object }) => store.create(object)))
      assert.equal(outcomes.filter((outcome) => outcome === 'created').length, 1)
      const winner = files[outcomes.indexOf('created')]
      assert.deepEqual(await bytesOf(await store.open(`race/${String(round)}`)), winner?.bytes)
    }
    await store[Symbol.asyncDispose]()
    assert((await readdir('/proc/self/fd')).length <= openBefore + 2)
  })

  test('a bucket that is not there is an error and not an empty archive', async () => {
    const store = stage().open({ bucket: 'no-such-bucket' })
    await assert.rejects(store.create(objectOf('k', Buffer.from('x'))), failsWith('ARCHIVE_BUCKET_MISSING'))
    await assert.rejects(store.read('k', 1), failsWith('ARCHIVE_BUCKET_MISSING'))
    await assert.rejects(store.head('k'), failsWith('ARCHIVE_BUCKET_MISSING'))
    await assert.rejects(keysOf(store, ''), failsWith('ARCHIVE_BUCKET_MISSING'))
  })

  test('an object is written with its condition, hash, lock, class and key in one signed request', async () => {
    await using proxy = await startFaultProxy(stage().service.endpoint)
    const store = stage().open({
      endpoint: proxy.endpoint,
      storageClass: 'STANDARD_IA',
      kmsKey: 'alias/archive',
    })
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
}

function testReader(stage: () => S3Stage, keys: S3Keys | null): void {
  const skip = keys === null ? 'not run here: HOOKTRAIL_TEST_S3_READER names nobody' : false
  test(
    'a reader with its own key reads the archive and may not write, and a wrong key is told',
    { skip },
    async () => {
      const store = stage().open()
      const prefix = store.location.slice(`s3://${stage().bucket}/`.length)
      await assert.rejects(openS3ForReading(stage().optionsOf({ prefix })), failsWith('ARCHIVE_NOT_FOUND'))
      await store.create(objectOf('genesis.note', Buffer.from('x')))
      await using reader = await openS3ForReading(stage().optionsOf({ prefix, credentials: keys }))
      assert.equal(String(await reader.read('genesis.note', 10)), 'x')
      assert.equal(await reader.read('absent', 10), null)
      assert.deepEqual(await keysOf(reader, ''), ['genesis.note'])
      await assert.rejects(reader.create(objectOf('k', Buffer.from('x'))), failsWith('ARCHIVE_STORE_DENIED'))
      const wrong = stage().open({ credentials: { ...stage().service, secretKey: 'wrong' } })
      await assert.rejects(wrong.read('k', 1), failsWith('ARCHIVE_CREDENTIALS_REFUSED'))
      await assert.rejects(
        openS3ForReading(stage().optionsOf({ bucket: 'no-such-bucket' })),
        (error) =>
          isHooktrailError(error, 'ARCHIVE_NOT_FOUND') &&
          error.details['store'] === `bucket no-such-bucket at ${stage().service.endpoint}`,
      )
    },
  )
}

function testPlainBucket(stage: () => S3Stage, { bucket }: S3Service): void {
  const skip =
    bucket === undefined ? false : 'not run here: HOOKTRAIL_TEST_S3 names a bucket, no other is made'
  test('a bucket without versions serves as well: what is deleted there is absent', { skip }, async () => {
    const plain = `plain-${randomBytes(6).toString('hex')}`
    await stage().client.send(new CreateBucketCommand({ Bucket: plain }))
    const store = stage().open({ bucket: plain, prefix: '' })
    assert.equal(store.location, `s3://${plain}`)
    assert.equal(await store.read('a/k', 10), null)
    assert.equal(await store.create(objectOf('a/k', Buffer.from('x'))), 'created')
    assert.equal(await store.create(objectOf('a/k', Buffer.from('y'))), 'exists')
    assert.deepEqual(await keysOf(store, ''), ['a/k'])
    await stage().client.send(new DeleteObjectCommand(stage().at(store, 'a/k')))
    assert.equal(await store.head('a/k'), null)
    assert.equal(await store.create(objectOf('a/k', Buffer.from('y'))), 'created')
    assert.equal(String(await store.read('a/k', 10)), 'y')
  })
}
