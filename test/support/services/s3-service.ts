/**
 * What the tests know of an S3 server, whichever it is, and buckets with versioning and Object Lock on it. Tests
 * that change the store behind the adapter's back (a delete, a shorter lock) use the plain client of the SDK.
 */
import {
  CreateBucketCommand,
  PutBucketPolicyCommand,
  PutBucketVersioningCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { randomBytes } from 'node:crypto'
import { ServiceUnavailableError } from './local-process.ts'

export const REGION = 'us-east-1'

export interface S3Keys {
  readonly accessKey: string
  readonly secretKey: string
}

/** Its own keys may do everything. */
export interface S3Service extends S3Keys, AsyncDisposable {
  readonly endpoint: string
  /** May read and list, and nothing else. Null where nobody said who that is. */
  readonly reader: S3Keys | null
  /** The policy that lets the reader into a bucket, where it needs one. */
  readonly readerPolicy?: (bucket: string) => string
  /** With Object Lock, where the tests are to make no other. */
  readonly bucket?: string
}

/** A server of the tests' own. */
export interface KillableS3 extends S3Service {
  readonly reader: S3Keys
  kill(signal: NodeJS.Signals): Promise<void>
  /** On the same port and data; the process must be gone. */
  restart(): Promise<void>
}

/** @param ca certificate of a private authority, PEM */
export function s3Client(endpoint: string, { accessKey, secretKey }: S3Keys, ca?: string): S3Client {
  return new S3Client({
    ...(ca === undefined ? {} : { requestHandler: { httpsAgent: { ca } } }),
    endpoint,
    region: REGION,
    forcePathStyle: true,
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
  })
}

export function isKillable(service: S3Service): service is KillableS3 {
  return 'kill' in service
}

/** @returns the bucket's name, random; or the one that is given */
export async function createLockedBucket(service: S3Service, ca?: string): Promise<string> {
  if (service.bucket !== undefined) return service.bucket
  const bucket = `archive-${randomBytes(6).toString('hex')}`
  const client = s3Client(service.endpoint, service, ca)
  try {
    await client.send(new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: true }))
    const versioning = { Status: 'Enabled' as const }
    await client.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration: versioning }))
    const policy = service.readerPolicy?.(bucket)
    if (policy !== undefined)
      await client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy: policy }))
  } finally {
    client.destroy()
  }
  return bucket
}

/** For `skip` of node:test: the reason, which is printed, where the server cannot run on this machine. */
export async function startOrReason<T extends object>(start: () => Promise<T>): Promise<T | string> {
  try {
    return await start()
  } catch (error) {
    if (error instanceof ServiceUnavailableError) return `not run here: ${error.message}`
    throw error
  }
}
