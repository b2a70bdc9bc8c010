/**
 * A real Redis for tests, on loopback, with each write on disk before it is answered, so that what a kill leaves
 * behind is exact. The machine's own `redis-server` where there is one, else Debian's packages, unpacked once into the
 * cache and run from there.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { inDocker, startContainer } from './docker.ts'
import { freePorts, provisioned, ServiceUnavailableError, startLocalProcess } from './local-process.ts'

const run = promisify(execFile)

/** redis-tools holds the server's binary, the others the libraries that a bare machine lacks. */
const PACKAGES = ['redis-server', 'redis-tools', 'libjemalloc2', 'liblzf1', 'libatomic1']
const READY_MS_MAX = 10_000
const PROBE_MS_MAX = 1_000

export interface RedisServer extends AsyncDisposable {
  readonly url: string
  /** Its data; may be copied and put back while it is down. */
  readonly folder: string
  kill(signal: NodeJS.Signals): Promise<void>
  /** Starts it again on the same folder and port. */
  restart(): Promise<void>
}

export interface RedisOptions {
  /** More arguments; the last of a kind wins. */
  readonly args?: readonly string[]
  /** Makes it a Sentinel with these settings, which it writes on by itself. */
  readonly sentinel?: readonly string[]
}

/** @throws ServiceUnavailableError */
export async function startRedis({ args = [], sentinel }: RedisOptions = {}): Promise<RedisServer> {
  const binary = await redisBinary()
  const home = await mkdtemp(join(tmpdir(), 'hooktrail-redis-'))
  const [port = 0] = await freePorts(1)
  const file = join(home, 'sentinel.conf')
  if (sentinel !== undefined)
    await writeFile(file, ['bind 127.0.0.1', `port ${port}`, `dir ${home}`, ...sentinel, ''].join('\n'))
  const settings =
    sentinel === undefined
      ? [...SETTINGS, '--port', String(port), '--dir', home, ...args]
      : [file, '--sentinel']
  const start = (): ReturnType<typeof startLocalProcess> =>
    startLocalProcess({
      ...binary,
      args: settings,
      logFile: join(home, 'redis.log'),
      isReady: () => answersPing(port),
      readyMsMax: READY_MS_MAX,
    })
  let server = await start()
  return {
    url: `redis://127.0.0.1:${port}`,
    folder: home,
    kill: (signal) => server.kill(signal),
    restart: async () => {
      server = await start()
    },
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]()
      await rm(home, { recursive: true, force: true })
    },
  }
}

/**
 * For tests that leave others' keys alone: the server that HOOKTRAIL_TEST_REDIS names, else one in Docker, else one as a
 * local process. Tests that kill it, empty it or look into its folder use startRedis.
 */
export async function givenRedis(): Promise<Pick<RedisServer, 'url'> & AsyncDisposable> {
  const url = process.env['HOOKTRAIL_TEST_REDIS']
  if (url !== undefined && url !== '') return { url, [Symbol.asyncDispose]: () => Promise.resolve() }
  return (await inDocker('Redis', startRedisContainer)) ?? startRedis()
}

async function startRedisContainer(): Promise<Pick<RedisServer, 'url'> & AsyncDisposable> {
  const container = await startContainer({
    service: 'redis',
    port: 6379,
    command: () => ['redis-server', '--appendonly', 'yes', '--maxmemory-policy', 'noeviction'],
    ready: 'redis-cli ping',
  })
  const { host, port } = container.address
  return {
    url: `redis://${host}:${port}`,
    [Symbol.asyncDispose]: () => container[Symbol.asyncDispose](),
  }
}

/** A test on a real Redis; skipped, with the reason, where there can be none. */
export function testOnRedis<T extends AsyncDisposable>(
  name: string,
  open: () => Promise<T>,
  body: (redis: T) => Promise<void>,
): void {
  test(name, async (t) => {
    const opened = await open().catch((error: unknown) => {
      if (!(error instanceof ServiceUnavailableError)) throw error
      t.skip(`not run here: ${error.message}`)
      return null
    })
    if (opened === null) return
    await using redis = opened
    await body(redis)
  })
}

const SETTINGS = [
  ...['--bind', '127.0.0.1', '--save', '', '--maxmemory-policy', 'noeviction'],
  ...['--appendonly', 'yes', '--appendfsync', 'always'],
]

interface Binary {
  readonly command: string
  readonly env: Readonly<Record<string, string>>
}

async function redisBinary(): Promise<Binary> {
  const installed = { command: 'redis-server', env: {} }
  if (await runs(installed)) return installed
  const folder = await provisioned('redis-server-7', unpackPackages).catch((error: unknown) => {
    throw new ServiceUnavailableError('redis-server is not installed and its packages cannot be had', {
      cause: error,
    })
  })
  const unpacked = await binaryIn(folder)
  if (await runs(unpacked)) return unpacked
  throw new ServiceUnavailableError(`the redis-server in ${folder} does not run on this machine`)
}

async function runs({ command, env }: Binary): Promise<boolean> {
  return run(command, ['--version'], { env: { ...process.env, ...env } }).then(
    () => true,
    () => false,
  )
}

async function binaryIn(folder: string): Promise<Binary> {
  const libraries = join(folder, 'usr', 'lib')
  const folders = (await readdir(libraries)).map((name) => join(libraries, name))
  return {
    command: join(folder, 'usr', 'bin', 'redis-server'),
    env: { LD_LIBRARY_PATH: [...folders, process.env['LD_LIBRARY_PATH'] ?? ''].filter(Boolean).join(':') },
  }
}

async function unpackPackages(folder: string): Promise<void> {
  const download = (): Promise<unknown> => run('apt-get', ['download', ...PACKAGES], { cwd: folder })
  await download().catch(async () => {
    // A machine that never asked has no lists of packages yet.
    await run('apt-get', ['update'])
    await download()
  })
  for (const name of await readdir(folder)) {
    await run('dpkg', ['-x', join(folder, name), folder])
    await rm(join(folder, name))
  }
  await run(join(folder, 'usr', 'bin', 'redis-server'), ['--version'], {
    env: { ...process.env, ...(await binaryIn(folder)).env },
  })
}

function answersPing(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const socket = connect(port, '127.0.0.1')
  socket.setTimeout(PROBE_MS_MAX, () => socket.destroy())
  socket.once('connect', () => socket.write('PING\r\n'))
  socket.once('data', (data) => {
    // One with a password answers, too.
    resolve(/^(?:\+PONG|-NOAUTH)/.test(data.toString()))
    socket.destroy()
  })
  socket.once('error', () => socket.destroy())
  socket.once('close', () => {
    resolve(false)
  })
  return promise
}
