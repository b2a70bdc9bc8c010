/**
 * A stage for the API: the dispatcher's stage with the routes on a server of its own (asked without a socket), and an
 * archive that is written on demand by the archiver's own writers.
 */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDirectoryStore } from '../../adapters/directory/directory-store.ts'
import { createPrometheusMetrics } from '../../adapters/http/metrics.ts'
import { createServer } from '../../adapters/http/server.ts'
import { createReportStore } from '../../adapters/postgres/report-store.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import { apiRoutes } from '../../api/api-routes.ts'
import { healthRoutes } from '../../api/health-routes.ts'
import type { ArchiveHealth } from '../../api/health.ts'
import type { ArchiverContext } from '../../archiver/archiver-context.ts'
import { openGenesis } from '../../archiver/genesis.ts'
import { HeartbeatChain } from '../../archiver/heartbeat-chain.ts'
import { HeartbeatWriter } from '../../archiver/heartbeat-writer.ts'
import { PartitionWriter } from '../../archiver/partition-writer.ts'
import { makeSigner, parseVerifierKey } from '../../core/archive/signed-note.ts'
import { ArchiveRange } from '../../core/archive/range/archive-range.ts'
import type { ArchiveSource } from '../../core/archive/range/find-segment.ts'
import { UnionLog } from '../../core/archive/range/union-log.ts'
import type { Clock } from '../../core/clock.ts'
import type { Config } from '../../core/config/config.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { ArchiveStore } from '../../core/ports/archive-store.ts'
import { archiveAll } from './archiver-stage.ts'
import { openDispatcherStage, type DispatcherStage, type StageOptions } from './dispatcher-stage.ts'
import { silentLogger } from './postgres.ts'

export const TOKEN = 'token-of-the-test'

export interface ApiAnswer {
  readonly status: number
  readonly type: string
  readonly text: string
  readonly headers: Readonly<Record<string, unknown>>
  /** The body as JSON. */
  readonly json: () => Record<string, unknown>
}

export interface ApiRequest {
  readonly method?: 'GET' | 'POST'
  readonly body?: Record<string, unknown>
  readonly authorization?: string | null
}

export interface ApiStage extends AsyncDisposable {
  readonly stage: DispatcherStage
  readonly archive: ArchiveStore
  readonly config: Config
  ask(path: string, request?: ApiRequest): Promise<ApiAnswer>
  /** Archives all that the log holds, and signs a heartbeat. */
  archiveLog(): Promise<void>
  /** Log and archive as one, as another process reads them. */
  reader(): UnionLog
  /** Opens a socket, for callers that come in numbers or hang up. */
  listen(): Promise<string>
  /** From now on the API cannot read it. */
  hideArchive(): void
  /** What the archiver of this process says; null: there is none. */
  status: ArchiveHealth | null
}

export async function openApiStage(
  options: StageOptions,
  { clock = systemClock, ...api }: Partial<Config['api']> & { readonly clock?: Clock } = {},
): Promise<ApiStage> {
  const stage = await openDispatcherStage(options)
  const folder = await mkdtemp(join(tmpdir(), 'hooktrail-api-'))
  const common = { clock, logger: silentLogger }
  const archive = await openDirectoryStore(join(folder, 'archive'), common)
  const config: Config = {
    ...stage.config,
    api: { ...stage.config.api, ...api },
    server: { ...stage.config.server, host: '127.0.0.1', bodyBytesMax: 1 << 20, inFlightBytesMax: 1 << 24 },
  }
  const app = createServer(config.server)
  let hasArchive = false
  const openSource = (): Promise<ArchiveSource> =>
    hasArchive
      ? Promise.resolve({ store: archive, keys: [parseVerifierKey(signer.vkey)] })
      : Promise.reject(new HooktrailError('ARCHIVE_READER_MISSING'))
  const openRange = (): ArchiveRange => new ArchiveRange({ openSource, clock: systemClock })
  const log = new UnionLog(stage.log, {
    // What was read before the archive was hidden is not remembered.
    read: (request, bounds) => openRange().read(request, bounds),
    segmentSince: (at, timestampMs) => openRange().segmentSince(at, timestampMs),
  })
  const deps = {
    ...{ config, log, store: stage.store, apiToken: TOKEN, digestKey: 'test', ...common },
    report: createReportStore(stage.database, null, clock),
    openArchive: () => Promise.resolve(hasArchive ? archive : null),
  }
  const metrics = createPrometheusMetrics()
  await app.register(healthRoutes, {
    ...{ ...deps, ready: () => true },
    services: async () => ({ services: [], archive: opened.status, metrics: [await metrics.samples()] }),
  })
  await app.register(apiRoutes, { ...deps, foreignLog: null, prefix: '/api' })
  const opened: ApiStage = {
    ...{ stage, archive, config },
    status: null,
    ask: async (path, { method = 'GET', body, authorization = `Bearer ${TOKEN}` } = {}) => {
      const answer = await app.inject({
        ...{ method, url: path, headers: authorization === null ? {} : { authorization } },
        ...(body === undefined ? {} : { payload: body }),
      })
      return {
        status: answer.statusCode,
        type: String(answer.headers['content-type']),
        text: answer.payload,
        headers: answer.headers,
        json: () => answer.json<Record<string, unknown>>(),
      }
    },
    reader: () => new UnionLog(stage.log, openRange()),
    listen: () => app.listen({ host: '127.0.0.1', port: 0 }),
    archiveLog: async () => {
      hasArchive = true
      await archiveEverything(stage, { archive, folder })
    },
    hideArchive: () => {
      hasArchive = false
    },
    [Symbol.asyncDispose]: async () => {
      await app.close()
      await stage[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
  return opened
}

const signer = makeSigner(generateKeyPairSync('ed25519').privateKey, 'hooktrail-archive')

async function archiveEverything(
  stage: DispatcherStage,
  { archive, folder }: { archive: ArchiveStore; folder: string },
): Promise<void> {
  const opening = {
    ...{ log: stage.log, archive, store: null, signer, verifiers: [parseVerifierKey(signer.vkey)] },
    ...{ clock: systemClock, logger: silentLogger, spoolDirectory: folder, instance: 'test' },
    metrics: { count: () => undefined, set: () => undefined, observe: () => undefined },
    formatsText: '# formats\n',
    settings: { ...stage.config.archive, roll: { bytesMax: 1 << 20, recordsMax: 1000, ageMsMax: 60_000 } },
  }
  const { genesis, sha256, keys } = await openGenesis(opening)
  const context: ArchiverContext = {
    ...opening,
    archiveId: genesis.archive_id,
    keys,
    genesisFormat: genesis.format,
  }
  const chain = new HeartbeatChain(context, sha256)
  await chain.catchUp()
  const topics = await stage.log.topics()
  for (const topic of topics)
    for (let partition = 0; partition < topic.partitions; partition++) {
      const at = { topic: topic.name, topicId: topic.id, partition }
      const writer = new PartitionWriter(context, at, (of) => chain.row(of))
      assert.notEqual(await archiveAll(writer), 'halted')
    }
  await new HeartbeatWriter(context, chain).step(topics, true)
}
