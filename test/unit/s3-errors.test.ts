/** What S3's answers mean: which error of the catalogue, and whether the request may be sent again at once. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { S3ServiceException } from '@aws-sdk/client-s3'
import { isTransient, storeError } from '../../adapters/s3/store-error.ts'

const CALL = { key: 'k', store: 'bucket b at Amazon S3, region us-east-1' }

function refused(name: string, status: number): S3ServiceException {
  const $metadata = { httpStatusCode: status }
  return new S3ServiceException({ name, $fault: 'client', $metadata, message: 'as the store says' })
}

test('an answer of the store is the error of the catalogue that tells what to do', () => {
  for (const [name, status, code, transient] of [
    ['ConditionalRequestConflict', 409, 'ARCHIVE_STORE_UNAVAILABLE', true],
    ['OperationAborted', 409, 'ARCHIVE_STORE_UNAVAILABLE', true],
    ['SlowDown', 503, 'ARCHIVE_STORE_UNAVAILABLE', true],
    ['InternalError', 500, 'ARCHIVE_STORE_UNAVAILABLE', true],
    ['RequestTimeout', 400, 'ARCHIVE_STORE_UNAVAILABLE', true],
    ['NotImplemented', 501, 'ARCHIVE_STORE_UNAVAILABLE', false],
    ['NoSuchBucket', 404, 'ARCHIVE_BUCKET_MISSING', false],
    ['PermanentRedirect', 301, 'ARCHIVE_REGION_WRONG', false],
    ['AuthorizationHeaderMalformed', 400, 'ARCHIVE_REGION_WRONG', false],
    ['InvalidAccessKeyId', 403, 'ARCHIVE_CREDENTIALS_REFUSED', false],
    ['SignatureDoesNotMatch', 403, 'ARCHIVE_CREDENTIALS_REFUSED', false],
    ['AccessDenied', 403, 'ARCHIVE_STORE_DENIED', false],
    ['UnknownError', 403, 'ARCHIVE_STORE_DENIED', false],
    ['ExpiredToken', 400, 'ARCHIVE_CREDENTIALS_REFUSED', false],
    ['BadDigest', 400, 'ARCHIVE_DIGEST_MISMATCH', false],
    ['XAmzContentSHA256Mismatch', 400, 'ARCHIVE_DIGEST_MISMATCH', false],
    ['EntityTooLarge', 400, 'ARCHIVE_OBJECT_TOO_LARGE', false],
    ['QuotaExceeded', 403, 'ARCHIVE_STORE_FULL', false],
    ['XMinioStorageFull', 507, 'ARCHIVE_STORE_FULL', false],
  ] as const) {
    const error = refused(name, status)
    assert.deepEqual([storeError(error, CALL).code, isTransient(error)], [code, transient], name)
  }
})

test('missing credentials are told as such, and a call for the whole archive without an empty key', () => {
  const none = Object.assign(new Error('Could not load credentials from any providers'), {
    name: 'CredentialsProviderError',
  })
  const { code, details } = storeError(none, { ...CALL, key: '' })
  assert.equal(code, 'ARCHIVE_CREDENTIALS_MISSING')
  assert.deepEqual(Object.keys(details), ['store', 'reason'])
})

test('a reason is short and says what the store, the network or the clock said', () => {
  assert.equal(
    storeError(refused('SlowDown', 503), CALL).details['reason'],
    'SlowDown (503): as the store says',
  )
  const reset = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
  assert.equal(storeError(reset, CALL).details['reason'], 'ECONNRESET: read ECONNRESET')
  assert.equal(isTransient(reset), true)
  assert.equal(
    storeError(new Error('aborted'), { ...CALL, timedOutAfterMs: 1500 }).details['reason'],
    'no answer within 1500 ms',
  )
  assert(String(storeError(new Error('x'.repeat(5000)), CALL).details['reason']).length <= 300)
  assert.equal(isTransient(new Error('a file could not be read')), false)
})
