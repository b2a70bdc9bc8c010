/**
 * The one place where the SDK's client is made. It tries each request once and computes no checksums: retries, deadlines
 * and hashes are ours (request.ts, create-object.ts), since a body that is a stream is never repeated by the SDK, and its own
 * checksums of streams break kept-alive connections.
 */
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { S3Client } from '@aws-sdk/client-s3'
import type { Clock } from '../../core/clock.ts'
import type { Logger } from '../../core/log.ts'

export interface S3Credentials {
  readonly accessKey: string
  readonly secretKey: string
}

export interface S3StoreOptions {
  readonly bucket: string
  /** Folder of the archive in the bucket, with or without a slash at its end; empty for the whole bucket. */
  readonly prefix: string
  /** URL of a store other than AWS; then the bucket stands in the path and not in the host name. */
  readonly endpoint: string | null
  readonly region: string
  /** null: environment, profile, container or instance role, in the SDK's order. */
  readonly credentials: S3Credentials | null
  /** Id or ARN of the KMS key that new objects are encrypted with; null: as the bucket says. */
  readonly kmsKey: string | null
  /** Of new objects, by the store's own name; null: its default. */
  readonly storageClass: string | null
  /** Certificates in PEM of a private authority; null: those that Node trusts. */
  readonly ca: string | null
  /** For the answer to one call, retries included; bodies get time by their size on top. Default: REQUEST_TIMEOUT_MS. */
  readonly requestTimeoutMs?: number
  /** Aborted when the process stops: from then on a store that does not answer soon is given up. */
  readonly stopping?: AbortSignal
  readonly clock: Clock
  readonly logger: Logger
}

export const REQUEST_TIMEOUT_MS = 30_000
const CONNECT_TIMEOUT_MS = 5_000
/** Segments are few and large, and each archiver works on a handful of partitions. */
const SOCKETS_MAX = 50

const nothing = (): void => undefined
/** It would print what its errors say as well, and warn on the console about each stream that failed. */
const SILENT = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing }

export function openClient({ endpoint, region, credentials, ca }: S3StoreOptions): S3Client {
  const sockets = { keepAlive: true, maxSockets: SOCKETS_MAX }
  return new S3Client({
    region,
    ...(endpoint === null ? {} : { endpoint, forcePathStyle: true }),
    ...(credentials === null ? {} : { credentials: identityOf(credentials) }),
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // It is answered on a connection of its own, which would be opened for each object.
    expectContinueHeader: false,
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      httpAgent: new HttpAgent(sockets),
      httpsAgent: new HttpsAgent({ ...sockets, ...(ca === null ? {} : { ca }) }),
    },
    logger: SILENT,
  })
}

function identityOf({ accessKey, secretKey }: S3Credentials): {
  accessKeyId: string
  secretAccessKey: string
} {
  return { accessKeyId: accessKey, secretAccessKey: secretKey }
}
