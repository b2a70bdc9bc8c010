/**
 * An S3 server for tests that go well with any: the one that HOOKTRAIL_TEST_S3 names, else MinIO in Docker, else
 * versitygw as a local process. Tests that look into its folder or need TLS start a versitygw of their own.
 */
import assert from 'node:assert/strict'
import { inDocker } from './docker.ts'
import { startMinio } from './minio.ts'
import type { S3Keys, S3Service } from './s3-service.ts'
import { startVersitygw } from './versitygw.ts'

/** @throws ServiceUnavailableError where there is none */
export async function openS3(): Promise<S3Service> {
  return givenS3(process.env) ?? (await inDocker('MinIO', startMinio)) ?? startVersitygw()
}

/**
 * HOOKTRAIL_TEST_S3 is `http://KEY:SECRET@host:port`, and the tests make buckets with Object Lock; with `/bucket`
 * behind it they make none and stay in that one, below prefixes of their own. HOOKTRAIL_TEST_S3_READER is `KEY:SECRET`
 * of somebody who may read and list there, and nothing else. What the tests wrote stays.
 */
export function givenS3(env: Readonly<Record<string, string | undefined>>): S3Service | null {
  const given = env['HOOKTRAIL_TEST_S3'] ?? ''
  if (given === '') return null
  const url = new URL(given)
  const bucket = url.pathname.slice(1)
  const reader = env['HOOKTRAIL_TEST_S3_READER'] ?? ''
  return {
    endpoint: url.origin,
    accessKey: decodeURIComponent(url.username),
    secretKey: decodeURIComponent(url.password),
    reader: reader === '' ? null : keysOf(reader),
    ...(bucket === '' ? {} : { bucket }),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

function keysOf(text: string): S3Keys {
  const [accessKey, secretKey] = text.split(':')
  assert(accessKey !== undefined && secretKey !== undefined, 'HOOKTRAIL_TEST_S3_READER is KEY:SECRET')
  return { accessKey, secretKey }
}
