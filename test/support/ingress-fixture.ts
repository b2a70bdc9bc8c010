/**
 * The ingress alone on a real Postgres log, behind a real listener, and a wrapper around the log's port that fails or
 * waits before or after the effect, as a test says.
 */
import { once } from 'node:events'
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import fastify from 'fastify'
import { createPostgresEventLog } from '../../adapters/postgres/event-log.ts'
import { migrate } from '../../adapters/postgres/migrate.ts'
import { openDatabase } from '../../adapters/postgres/pool.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import type { Clock } from '../../core/clock.ts'
import type { Config, SourceConfig } from '../../core/config/config.ts'
import type { AppendRecord, EventLog, LogPosition, LogRecord } from '../../core/ports/event-log.ts'
import type { SchemaRegistry } from '../../core/ports/schema-registry.ts'
import { startIngress, type Ingress } from '../../ingress/ingress-service.ts'
import { valid } from './config-reader.ts'
import { createMigratedDatabase, silentLogger } from './postgres.ts'

export const PREFIX = 'hooktrail'

/** What happens around the next appends; `null` resets. */
export interface AppendFaults {
  before: (() => Promise<void>) | null
  after: (() => Promise<void>) | null
  diskUsage: { usedBytes: bigint; capacityBytes: bigint | null } | null
}

export interface IngressFixture extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly ingress: Ingress
  readonly log: EventLog
  readonly faults: AppendFaults
  /** Every record of a topic's partitions, in order of partition and offset. */
  records(topic: string): Promise<readonly (LogRecord & { partition: number })[]>
}

export function testSource(source: Partial<SourceConfig> & { name: string }): SourceConfig {
  return {
    verify: { scheme: 'none', hmac: null, toleranceSeconds: null },
    secrets: [],
    dedup: { key: null, windowMs: 2_592_000_000, onConflict: 'deliver', onResend: 'revive' },
    orderBy: null,
    type: null,
    deadlineMs: 3000,
    bodyBytesMax: 1024 * 1024,
    schema: null,
    archiveRetention: null,
    ...source,
  }
}

export interface FixtureOptions {
  readonly sources: readonly SourceConfig[]
  readonly inFlightBytesMax?: number
  readonly requestTimeoutMs?: number
  readonly clock?: Clock
  readonly schemaRegistry?: SchemaRegistry
}

export async function startIngressFixture(options: FixtureOptions): Promise<IngressFixture> {
  const testDatabase = await createMigratedDatabase()
  const clock = options.clock ?? systemClock
  const database = openDatabase({
    url: testDatabase.url,
    connectionsMax: 4,
    applicationName: 'test',
    logger: silentLogger,
  })
  await migrate(database)
  const real = await createPostgresEventLog(database, {
    topicPrefix: PREFIX,
    retentionMs: 86_400_000,
    clock: systemClock,
    logger: silentLogger,
  })
  const faults: AppendFaults = { before: null, after: null, diskUsage: null }
  const log = wrapLog(real, faults)
  const config = testConfig(options)
  const ingress = await startIngress(config, {
    log,
    clock,
    logger: silentLogger,
    metrics: { count: () => undefined, set: () => undefined, observe: () => undefined },
    digestKey: 'a digest key for tests',
    schemaRegistry: options.schemaRegistry ?? null,
  })
  const requestTimeoutMs = options.requestTimeoutMs ?? 60_000
  const app = fastify({
    requestTimeout: requestTimeoutMs,
    http: { headersTimeout: requestTimeoutMs, connectionsCheckingInterval: 100 },
  })
  await app.register(ingress.routes)
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  await untilReady(ingress)
  return {
    url,
    port: Number(new URL(url).port),
    ingress,
    log,
    faults,
    records: (topic) => readAll(log, topic),
    [Symbol.asyncDispose]: async () => {
      faults.before = null
      faults.after = null
      app.server.closeAllConnections()
      await app.close()
      await ingress.stop()
      await real[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
      await testDatabase[Symbol.asyncDispose]()
    },
  }
}

async function untilReady(ingress: Ingress): Promise<void> {
  while (!ingress.ready()) await new Promise((resolve) => setImmediate(resolve))
}

function testConfig({ sources, inFlightBytesMax }: FixtureOptions): Config {
  const { server, log, ...others } = valid('version: 1\n')
  return {
    ...others,
    generation: '0123456789abcdef',
    server: {
      ...server,
      port: 0,
      bodyBytesMax: 1024 * 1024,
      inFlightBytesMax: inFlightBytesMax ?? 256 * 1024 * 1024,
    },
    log: { ...log, topicPrefix: PREFIX, partitions: 3, retentionMs: 86_400_000 },
    sources,
  }
}

function wrapLog(real: EventLog, faults: AppendFaults): EventLog {
  return {
    driver: real.driver,
    ensureTopics: (specs) => real.ensureTopics(specs),
    topics: () => real.topics(),
    append: async (records: readonly AppendRecord[]): Promise<readonly LogPosition[]> => {
      await faults.before?.()
      const positions = await real.append(records)
      await faults.after?.()
      return positions
    },
    read: (request) => real.read(request),
    bounds: (partition) => real.bounds(partition),
    offsetAt: (partition, timestampMs) => real.offsetAt(partition, timestampMs),
    epochEnd: (partition, epoch) => real.epochEnd(partition, epoch),
    truncate: (partition, before) => real.truncate(partition, before),
    diskUsage: () => (faults.diskUsage === null ? real.diskUsage() : Promise.resolve(faults.diskUsage)),
  }
}

async function readAll(log: EventLog, name: string): Promise<(LogRecord & { partition: number })[]> {
  const topic = (await log.topics()).find((candidate) => candidate.name === name)
  if (topic === undefined) throw new Error(`no topic ${name}`)
  const found: (LogRecord & { partition: number })[] = []
  for (let partition = 0; partition < topic.partitions; partition++) {
    const limits = { recordsMax: 10_000, bytesMax: 100_000_000, waitMsMax: 0 }
    const { records } = await log.read({ topic: name, topicId: topic.id, partition, from: 0n, ...limits })
    found.push(...records.map((record) => ({ ...record, partition })))
  }
  return found
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

/** POST with full control over headers; chunked when `chunks` is given. */
export async function post(
  url: string,
  {
    body,
    chunks,
    headers,
  }: {
    body?: Buffer | string
    chunks?: readonly Buffer[]
    headers?: readonly string[] | Record<string, string>
  },
): Promise<Answer> {
  const request = httpRequest(url, { method: 'POST', headers: headers ?? {} })
  // A server that refuses early may reset the connection more than once; the first error rejects below.
  request.on('error', () => undefined)
  for (const chunk of chunks ?? []) request.write(chunk)
  request.end(body)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  const parts: Buffer[] = []
  for await (const part of response) parts.push(part as Buffer)
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    text: Buffer.concat(parts).toString('utf8'),
  }
}

/** Writes bytes on a plain socket and resolves with all that comes back until the other side closes. */
export async function rawExchange(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(bytes, 'latin1')
  let text = ''
  // A reset ends the exchange as a close does; what came before it counts.
  socket.on('error', () => undefined)
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
  })
  await new Promise((resolve) => socket.on('close', resolve))
  return text
}
