/** docs/api.md has a section for every route that is registered, and for no other. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createServer } from '../../adapters/http/server.ts'
import { createPostgresJobStore } from '../../adapters/postgres/job-store/create.ts'
import { openDatabase } from '../../adapters/postgres/pool.ts'
import { createReportStore } from '../../adapters/postgres/report-store.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import { apiRoutes } from '../../api/api-routes.ts'
import { healthRoutes } from '../../api/health-routes.ts'
import { DeferredLog } from '../../cli/composition/deferred-log.ts'
import { ArchiveRange } from '../../core/archive/range/archive-range.ts'
import { UnionLog } from '../../core/archive/range/union-log.ts'
import { readConfig } from '../../core/config/read-config.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import { ingressRoutes } from '../../ingress/ingress-routes.ts'
import { silentLogger } from '../support/postgres.ts'

test('docs/api.md has exactly the registered routes, each with an example', async () => {
  const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'api.md'), 'utf8')
  const sections = [...page.matchAll(/^### ([A-Z]+ \S+)\n([\s\S]*?)(?=^##|(?![\s\S]))/gm)]
  assert.deepEqual(sections.map(([, route]) => route ?? '').sort(), await registeredRoutes())
  for (const [, route, text] of sections) assert.match(text ?? '', /\n```\n[\s\S]+\n```\n/, route)
})

/** Nothing is asked, so the database need not be there. */
async function registeredRoutes(): Promise<readonly string[]> {
  const file = { text: 'version: 1\n', file: 'hooktrail.yaml', overlay: null }
  const read = readConfig(file, { env: {}, readFile: () => '' })
  assert(read.ok, JSON.stringify(read))
  const common = { clock: systemClock, logger: silentLogger }
  await using database = openDatabase({
    ...{ url: 'postgres://127.0.0.1:1/none', connectionsMax: 1, applicationName: 'test', ...common },
  })
  const openSource = () => Promise.reject(new HooktrailError('ARCHIVE_READER_MISSING'))
  const deps = {
    ...{
      config: { ...read.config, generation: '0' },
      log: new UnionLog(new DeferredLog('postgres'), new ArchiveRange({ openSource, clock: systemClock })),
      apiToken: 'token',
      digestKey: 'test',
      ...common,
    },
    store: createPostgresJobStore(database, common),
    report: createReportStore(database, null, systemClock),
    openArchive: () => Promise.resolve(null),
  }
  const app = createServer(read.config.server)
  const routes: string[] = []
  app.addHook('onRoute', ({ method, url }) => {
    // fastify adds HEAD to every GET.
    for (const name of [method].flat()) if (name !== 'HEAD') routes.push(`${name} ${url}`)
  })
  const services = () => Promise.resolve({ services: [], archive: null, metrics: [] })
  await app.register(healthRoutes, { ...deps, services, ready: () => true })
  await app.register(apiRoutes, { ...deps, foreignLog: null, prefix: '/api' })
  await app.register(ingressRoutes({ receiver: { handle: () => undefined }, onListen: () => undefined }))
  await app.close()
  return routes.sort()
}
