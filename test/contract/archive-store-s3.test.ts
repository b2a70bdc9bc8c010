/**
 * The S3 store on the server that the tests find (any-s3.ts): the port's suite and what S3 adds to it. And on versitygw,
 * since it takes a server of one's own: TLS with a private authority, a full disk.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { openS3Store } from '../../adapters/s3/s3-store.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import { messageOf } from '../../core/error/message-of.ts'
import { optionsFor } from '../support/s3-stage.ts'
import { openS3 } from '../support/services/any-s3.ts'
import { orSkip } from '../support/services/local-process.ts'
import { createLockedBucket, startOrReason } from '../support/services/s3-service.ts'
import { createCertificateFiles } from '../support/services/self-signed.ts'
import { startVersitygw } from '../support/services/versitygw.ts'
import { failsWith, keysOf, objectOf } from './archive-store.ts'
import { testS3Store } from './s3-store.ts'

const service = await startOrReason(openS3)
if (typeof service === 'string') test('the S3 store', { skip: service })
else testS3Store({ service })

test('a certificate of a private authority is believed where the authority is given', async (t) => {
  await using made = await createCertificateFiles()
  const ca = made.certificate
  await using secure = await orSkip(
    t,
    startOrReason(() => startVersitygw({ tls: made })),
  )
  if (secure === null) return
  const options = optionsFor(secure, await createLockedBucket(secure, ca))
  await using store = openS3Store({ ...options, ca })
  assert.equal(await store.create(objectOf('k', Buffer.from('x'))), 'created')
  assert.equal(String(await store.read('k', 10)), 'x')
  await using careful = openS3Store(options)
  await assert.rejects(careful.read('k', 10), (error) => {
    assert(isHooktrailError(error, 'ARCHIVE_STORE_UNAVAILABLE'))
    return String(error.details['reason']).includes('SELF_SIGNED_CERT')
  })
})

test('a store whose disk is full says so, and goes on when there is room again', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 's3-full-'))
  const mount = path.join(folder, 'disk')
  await mkdir(mount)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', mount], { stdio: 'ignore' })
  } catch (error) {
    t.skip(`not run here: mounting is not permitted (${messageOf(error)})`)
    return
  }
  try {
    await using small = await orSkip(
      t,
      startOrReason(() => startVersitygw({ folder: mount })),
    )
    if (small === null) return
    await using store = openS3Store(optionsFor(small, await createLockedBucket(small)))
    const large = objectOf('large', Buffer.alloc(8_000_000, 1))
    await assert.rejects(store.create(large), failsWith('ARCHIVE_STORE_FULL'))
    assert.equal(await store.head('large'), null)
    execFileSync('mount', ['-o', 'remount,size=64m', mount])
    assert.equal(await store.create(large), 'created')
    assert.deepEqual(await keysOf(store, ''), ['large'])
  } finally {
    execFileSync('umount', [mount])
    await rm(folder, { recursive: true, force: true })
  }
})
