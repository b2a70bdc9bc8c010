/**
 * A stage for the S3 store: a locked bucket on a real server, stores on it below prefixes of their own, and the SDK's
 * plain client with all rights for what happens behind the store's back.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { S3Client } from '@aws-sdk/client-s3'
import { openS3Store, type S3Store, type S3StoreOptions } from '../../adapters/s3/s3-store.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import { silentLogger } from './postgres.ts'
import { createLockedBucket, REGION, s3Client, type S3Service } from './services/s3-service.ts'

export interface S3Stage extends AsyncDisposable {
  readonly service: S3Service
  readonly bucket: string
  /** Folder for files. */
  readonly scratch: string
  readonly client: S3Client
  optionsOf(changed?: Partial<S3StoreOptions>): S3StoreOptions
  /** Closed with the stage. */
  open(changed?: Partial<S3StoreOptions>): S3Store
  /** Where an object lies, as the SDK's commands name it. */
  at(store: S3Store, key: string): { readonly Bucket: string; readonly Key: string }
}

export async function openS3Stage(service: S3Service): Promise<S3Stage> {
  const bucket = await createLockedBucket(service)
  const scratch = await mkdtemp(join(tmpdir(), 's3-store-'))
  const client = s3Client(service.endpoint, service)
  const stores = new AsyncDisposableStack()
  const optionsOf = (changed: Partial<S3StoreOptions> = {}): S3StoreOptions => ({
    ...optionsFor(service, bucket),
    ...changed,
  })
  return {
    service,
    bucket,
    scratch,
    client,
    optionsOf,
    open: (changed) => stores.use(openS3Store(optionsOf(changed))),
    at: (store, key) => {
      const [, , name = '', ...folder] = store.location.split('/')
      return { Bucket: name, Key: [...folder, key].join('/') }
    },
    [Symbol.asyncDispose]: async () => {
      client.destroy()
      await stores.disposeAsync()
      await rm(scratch, { recursive: true, force: true })
    },
  }
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
