/**
 * Versity S3 Gateway: S3 with versions and Object Lock on a folder. Built once with `go install` into the cache. The
 * folder needs a file system with user extended attributes.
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { messageOf } from '../../../core/error/message-of.ts'
import {
  freePorts,
  provisioned,
  ServiceUnavailableError,
  startLocalProcess,
  type LocalProcess,
} from './local-process.ts'
import type { KillableS3, S3Keys } from './s3-service.ts'

const VERSION = 'v1.8.0'
const PACKAGE = `github.com/versity/versitygw/cmd/versitygw@${VERSION}`
const BUILD_MS_MAX = 280_000
const READY_MS_MAX = 20_000
const ROOT: S3Keys = { accessKey: 'hooktrail', secretKey: 'hooktrail-secret' }
const READER: S3Keys = { accessKey: 'reader', secretKey: 'reader-secret' }

export interface VersitygwOptions {
  /** Where its objects lie; a folder of its own in the temporary one when absent, removed in the end. */
  readonly folder?: string
  /** PEM files: then it speaks TLS. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string }
}

const run = promisify(execFile)

/** @throws ServiceUnavailableError where it cannot be built */
export async function startVersitygw(options: VersitygwOptions = {}): Promise<KillableS3> {
  const binary = join(await provisioned(`versitygw-${VERSION}`, build), 'versitygw')
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'versitygw-')))
  const [port = 0] = await freePorts(1)
  for (const name of ['buckets', 'versions', 'iam']) await mkdir(join(folder, name), { recursive: true })
  const endpoint = `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`
  const start = (): Promise<LocalProcess> => startServer({ binary, folder, port, tls: options.tls })
  let server = await start()
  await createReader(binary, endpoint)
  return {
    endpoint,
    ...ROOT,
    reader: READER,
    readerPolicy,
    kill: (signal) => server.kill(signal),
    restart: async () => {
      server = await start()
    },
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]()
      if (options.folder === undefined) await rm(folder, { recursive: true, force: true })
    },
  }
}

async function build(folder: string): Promise<void> {
  // Our flags alone: a vendor or module setting of the caller must not decide what is built.
  const env = { ...process.env, GOBIN: folder, GOFLAGS: '-mod=mod', CGO_ENABLED: '0' }
  try {
    await run('go', ['install', '-ldflags', '-s -w', PACKAGE], { env, timeout: BUILD_MS_MAX })
  } catch (error) {
    throw new ServiceUnavailableError(`versitygw cannot be built with go install: ${messageOf(error)}`)
  }
}

interface ServerPlace {
  readonly binary: string
  readonly folder: string
  readonly port: number
  readonly tls: VersitygwOptions['tls']
}

function startServer({ binary, folder, port, tls }: ServerPlace): Promise<LocalProcess> {
  const at = ['--port', `127.0.0.1:${port}`, '--health', '/health', '--keep-alive', '--quiet']
  const secure = tls === undefined ? [] : ['--cert', tls.certFile, '--key', tls.keyFile]
  const data = ['posix', '--versioning-dir', join(folder, 'versions'), join(folder, 'buckets')]
  return startLocalProcess({
    command: binary,
    args: [...at, '--iam-dir', join(folder, 'iam'), '--iam-cache-disable', ...secure, ...data],
    env: { ROOT_ACCESS_KEY: ROOT.accessKey, ROOT_SECRET_KEY: ROOT.secretKey },
    logFile: join(folder, 'log'),
    isReady: () => accepts(port),
    readyMsMax: READY_MS_MAX,
  })
}

/** An open port is enough: it listens when it can serve, and TLS with a private authority needs no client here. */
function accepts(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const socket = connect(port, '127.0.0.1', () => {
    resolve(true)
  }).once('error', () => {
    resolve(false)
  })
  return promise.finally(() => socket.destroy())
}

/** A user of the gateway who owns nothing: the policy of a bucket lets him read it. */
async function createReader(binary: string, endpoint: string): Promise<void> {
  const admin = ['admin', '-a', ROOT.accessKey, '-s', ROOT.secretKey, '-er', endpoint, '--allow-insecure']
  await run(binary, [...admin, 'create-user', '-a', READER.accessKey, '-s', READER.secretKey, '-r', 'user'])
}

function readerPolicy(bucket: string): string {
  const actions = [
    'GetObject',
    'GetObjectVersion',
    'GetObjectRetention',
    'ListBucket',
    'ListBucketVersions',
    'GetBucketVersioning',
    'GetBucketObjectLockConfiguration',
  ]
  return JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Principal: { AWS: [READER.accessKey] },
        Action: actions.map((action) => `s3:${action}`),
        Resource: [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`],
      },
    ],
  })
}
