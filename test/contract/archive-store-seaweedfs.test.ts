/** The S3 store on SeaweedFS, whose conditional create succeeds over a delete marker and whose pages are out of order. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listObjects } from '../../adapters/s3/list-objects.ts'
import { openClient } from '../../adapters/s3/open-client.ts'
import { openS3Store } from '../../adapters/s3/s3-store.ts'
import { optionsFor } from '../support/s3-stage.ts'
import { startSeaweedfs } from '../support/services/seaweedfs.ts'
import { createLockedBucket, startOrReason } from '../support/services/s3-service.ts'
import { failsWith, objectOf } from './archive-store.ts'
import { testS3Store } from './s3-store.ts'

const service = await startOrReason(startSeaweedfs)
if (typeof service === 'string') test('the S3 store on SeaweedFS', { skip: service })
else {
  test('pages out of byte order are an error and not a listing that lacks keys', async () => {
    const options = optionsFor(service, await createLockedBucket(service))
    await using store = openS3Store(options)
    for (const key of ['shop/1', 'shop/2', 'shop-eu/1', 'shop-eu/2'])
      await store.create(objectOf(key, Buffer.from('x')))
    const client = openClient(options)
    const paged = listObjects(
      { client, options, folder: `${options.prefix}/`, givenUp: new AbortController() },
      { prefix: '', after: '', entriesMax: 2 },
    )
    await assert.rejects(Array.fromAsync(paged), failsWith('ARCHIVE_STORE_UNAVAILABLE'))
    client.destroy()
  })
  testS3Store({ service, ordersFolders: true })
}
