/**
 * A real schema registry for tests: Apicurio with its API for Confluent clients, on loopback and without Docker, from one
 * archive of Maven's, its schemas in memory. Needs mvn, tar and Java 21 or later; where they are missing,
 * ServiceUnavailableError says so and the tests are skipped.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { messageOf } from '../../../core/error/message-of.ts'
import { inDocker, startContainer } from './docker.ts'
import { freePorts, provisioned, ServiceUnavailableError, startLocalProcess } from './local-process.ts'

const VERSION = '3.3.3'
const IMAGE = `apicurio/apicurio-registry:${VERSION}`
const JAVA_MIN = 21
const JVM_FOLDER = '/usr/lib/jvm'
const API = 'apis/ccompat/v7'
const READY_MS_MAX = 120_000
const PROBE_MS_MAX = 2_000
const HEAP = ['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1']

const run = promisify(execFile)

export interface TestSchemaRegistry extends AsyncDisposable {
  /** Base of the API for Confluent clients. */
  readonly url: string
}

export interface LocalSchemaRegistry extends TestSchemaRegistry {
  /** With SIGSTOP it hangs, with SIGCONT it goes on, its schemas with it. */
  kill(signal: NodeJS.Signals): Promise<void>
}

/** The one that HOOKTRAIL_TEST_SCHEMA_REGISTRY names, else one in Docker, else a local process; or why there is none. */
export async function schemaRegistryOrReason(): Promise<TestSchemaRegistry | string> {
  const given = process.env['HOOKTRAIL_TEST_SCHEMA_REGISTRY'] ?? ''
  if (given !== '') return { url: given, [Symbol.asyncDispose]: () => Promise.resolve() }
  return (await inDocker('Apicurio', startInContainer)) ?? localRegistryOrReason()
}

/** For tests that stop it. */
export async function localRegistryOrReason(): Promise<LocalSchemaRegistry | string> {
  try {
    return await startLocalRegistry()
  } catch (error) {
    if (!(error instanceof ServiceUnavailableError)) throw error
    process.stderr.write(`NOT RUN: the tests on a schema registry, because ${error.message}\n`)
    return error.message
  }
}

async function startInContainer(): Promise<TestSchemaRegistry> {
  const container = await startContainer({
    image: IMAGE,
    port: 8080,
    command: () => [],
    ready: `curl -fs http://127.0.0.1:8080/${API}/subjects`,
  })
  const { host, port } = container.address
  return {
    url: `http://${host}:${port}/${API}`,
    [Symbol.asyncDispose]: () => container[Symbol.asyncDispose](),
  }
}

/** @throws ServiceUnavailableError */
async function startLocalRegistry(): Promise<LocalSchemaRegistry> {
  const java = await newestJava()
  const app = await provisioned(`apicurio-registry-${VERSION}`, fetchApp)
  await using undo = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'hooktrail-registry-'))
  undo.defer(() => rm(folder, { recursive: true, force: true }))
  const [port = 0, managementPort = 0] = await freePorts(2)
  const url = `http://127.0.0.1:${port}/${API}`
  const server = await startLocalProcess({
    command: java,
    args: [...HEAP, ...settings({ port, managementPort }), '-jar', join(app, 'quarkus-run.jar')],
    cwd: folder,
    logFile: join(folder, 'log'),
    isReady: () => answers(url),
    readyMsMax: READY_MS_MAX,
  })
  undo.use(server)
  const kept = undo.move()
  return { url, kill: (signal) => server.kill(signal), [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

function settings({ port, managementPort }: { port: number; managementPort: number }): readonly string[] {
  return [
    ...['-Dquarkus.http.host=127.0.0.1', `-Dquarkus.http.port=${port}`],
    ...['-Dquarkus.management.host=127.0.0.1', `-Dquarkus.management.port=${managementPort}`],
    ...['-Dquarkus.otel.sdk.disabled=true', '-Dquarkus.http.access-log.enabled=false'],
  ]
}

async function answers(url: string): Promise<boolean> {
  const { ok } = await fetch(`${url}/subjects`, { signal: AbortSignal.timeout(PROBE_MS_MAX) })
  return ok
}

async function fetchApp(folder: string): Promise<void> {
  const artifact = `io.apicurio:apicurio-registry-app:${VERSION}:tar.gz:all`
  try {
    await run('mvn', ['-B', '-q', 'dependency:copy', `-Dartifact=${artifact}`, `-DoutputDirectory=${folder}`])
    for (const archive of await readdir(folder)) {
      await run('tar', ['-xzf', join(folder, archive), '-C', folder])
      await rm(join(folder, archive))
    }
  } catch (error) {
    throw new ServiceUnavailableError(`Apicurio cannot be fetched with mvn: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

/** The one on the path may be older than another beside it. */
async function newestJava(): Promise<string> {
  const installed = await readdir(JVM_FOLDER).catch(() => [])
  const home = process.env['JAVA_HOME'] ?? ''
  const candidates = [
    'java',
    ...(home === '' ? [] : [join(home, 'bin', 'java')]),
    ...installed.map((name) => join(JVM_FOLDER, name, 'bin', 'java')),
  ]
  for (const candidate of candidates) if ((await majorVersion(candidate)) >= JAVA_MIN) return candidate
  throw new ServiceUnavailableError(`there is no Java ${JAVA_MIN} or later`)
}

/** 0 for what is no Java: beside its folders lie files, which not even spawn takes. */
async function majorVersion(java: string): Promise<number> {
  try {
    const { stderr } = await run(java, ['-version'])
    return Number(/version "(\d+)/.exec(stderr)?.[1] ?? 0)
  } catch {
    return 0
  }
}
