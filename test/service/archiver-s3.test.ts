/**
 * The archiver on a bucket with Object Lock: what it writes is locked, an auditor with a key that only reads finds it
 * intact, and whatever somebody with more rights does to it is found.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'
import { after, before, test } from 'node:test'
import { DeleteObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import {
  openS3ForReading,
  openS3Store,
  type S3Store,
  type S3StoreOptions,
} from '../../adapters/s3/s3-store.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { ArchiveStore, NewObject, ObjectVersion } from '../../core/ports/archive-store.ts'
import type { TopicPartition } from '../../core/ports/event-log.ts'
import { archiveAll, openStage, partitionOf, type ArchiverStage } from '../support/archiver-stage.ts'
import { HandClock } from '../support/hand-clock.ts'
import { optionsFor } from '../support/s3-stage.ts'
import { openS3 } from '../support/services/any-s3.ts'
import {
  createLockedBucket,
  s3Client,
  startOrReason,
  type S3Service,
} from '../support/services/s3-service.ts'

const LOCK_MS = 3_600_000
const CLI = resolve(import.meta.dirname, '..', 'support', 'archive-cli.ts')

const service = await startOrReason(openS3)
if (typeof service === 'string') test('the archiver on S3', { skip: service })
else testArchiver(service)

function testArchiver(server: S3Service): void {
  let options: S3StoreOptions
  let client: S3Client
  let stage: ArchiverStage
  let store: S3Store
  let auditor: S3Store
  let at: TopicPartition
  const opened = new AsyncDisposableStack()

  before(async () => {
    opened.use(server)
    client = s3Client(server.endpoint, server)
    opened.defer(() => {
      client.destroy()
    })
    options = optionsFor(server, await createLockedBucket(server))
    store = opened.use(openS3Store(options))
    stage = opened.use(await openStage(locking(store)))
    at = partitionOf(await stage.topic('hooktrail.events.s3'))
  })
  after(() => opened.disposeAsync())

  test('what it writes is whole for an auditor whose key can only read, and every object is locked', async () => {
    const seat = await stage.seat('a')
    for (let n = 0; n < 3; n++) {
      await stage.append(at, 50, `event-${n}`)
      assert.equal(await archiveAll(seat.writer(at)), 'idle')
      assert.equal(await seat.heartbeats.step(await stage.log.topics()), 'signed')
      seat.clock.advance(60_000)
    }
    await stage.check([at])
    auditor = opened.use(await openS3ForReading({ ...options, credentials: server.reader ?? server }))
    const report = await stage.verify({ store: auditor })
    assert.deepEqual([report.exitCode, report.findings], [0, []])
    for await (const { key } of auditor.list('')) {
      assert((await auditor.head(key))?.lock, key)
      await assert.rejects(client.send(new DeleteObjectCommand(await versionAt(key))), {
        name: 'AccessDenied',
      })
    }
  })

  test('a bucket that is not there, and a prefix without an archive, are told with store and bucket', () => {
    for (const [location, reason] of [
      ['s3://no-such-bucket/prod', 'there is no such bucket'],
      [`s3://${options.bucket}/elsewhere`, 'it is empty'],
    ] as const) {
      const { status, stderr } = spawnSync(process.execPath, [CLI, 'ls', location], {
        encoding: 'utf8',
        env: {
          ...{ PATH: process.env['PATH'], AWS_ENDPOINT_URL_S3: server.endpoint },
          ...{ AWS_ACCESS_KEY_ID: server.accessKey, AWS_SECRET_ACCESS_KEY: server.secretKey },
        },
      })
      assert.equal(status, 66, stderr)
      const bucket = location.split('/')[2] ?? ''
      for (const part of [`store: bucket ${bucket} at ${server.endpoint}`, `reason: ${reason}`])
        assert.ok(stderr.includes(part), stderr)
      assert.match(stderr, /to do: name the bucket, .*AWS_ENDPOINT_URL_S3, http/)
    }
  })

  test('a second archiver goes on where the first one ended', async () => {
    const seat = await stage.seat('b', { clock: new HandClock(Date.now() + LOCK_MS) })
    await stage.append(at, 20, 'later')
    assert.equal(await archiveAll(seat.writer(at)), 'idle')
    assert.equal(await seat.heartbeats.step(await stage.log.topics()), 'signed')
    await stage.check([at])
  })

  test('a deleted object is found, stops its archiver, and all is well when the marker is gone', async () => {
    const keys = (await Array.fromAsync(store.list(''))).map(({ key }) => key)
    const newest = (prefix: string): string => keys.findLast((key) => key.startsWith(prefix)) ?? prefix
    for (const key of [newest('data/'), newest('segments/'), 'genesis.note']) {
      const marker = await client.send(new DeleteObjectCommand({ Bucket: options.bucket, Key: pathOf(key) }))
      const report = await stage.verify({ store: auditor })
      assert.equal(report.exitCode, 1, key)
      assert(
        report.findings.some(({ code, object }) => code === 'delete-marker' && object === key),
        JSON.stringify(report.findings),
      )
      if (key === 'genesis.note')
        await assert.rejects(stage.seat('c'), (error) => isHooktrailError(error, 'ARCHIVE_DELETE_MARKER'))
      const { VersionId } = marker
      await client.send(new DeleteObjectCommand({ Bucket: options.bucket, Key: pathOf(key), VersionId }))
    }
    await stage.check([at])
  })

  const pathOf = (key: string): string => `${options.prefix}/${key}`

  async function versionAt(key: string): Promise<{ Bucket: string; Key: string; VersionId: string }> {
    const versions: ObjectVersion[] = await Array.fromAsync(store.listVersions(key))
    assert.equal(versions.length, 1, `${key} has one version`)
    return { Bucket: options.bucket, Key: pathOf(key), VersionId: versions[0]?.versionId ?? '' }
  }
}

/** Every object with a lock, as an installation with `worm` on writes it. */
function locking(store: S3Store): ArchiveStore {
  return {
    driver: store.driver,
    location: store.location,
    create: (object: NewObject) =>
      store.create({ ...object, lock: { mode: 'governance', untilMs: Date.now() + LOCK_MS } }),
    read: (key, bytesMax) => store.read(key, bytesMax),
    open: (key) => store.open(key),
    head: (key) => store.head(key),
    list: (prefix, from) => store.list(prefix, from),
  }
}
