/** A dispatcher on a machine of its own that cannot read the archive: it says what it lacks, and works on what the log holds. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createPostgresEventLog } from '../../adapters/postgres/event-log.ts'
import { migrate } from '../../adapters/postgres/migrate.ts'
import { openDatabase } from '../../adapters/postgres/pool.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import type { EventLog } from '../../core/ports/event-log.ts'
import { eventually } from '../support/installation.ts'
import { createMigratedDatabase, silentLogger } from '../support/postgres.ts'
import { startReceiver } from '../support/receiver.ts'
import { startSingleProcess } from '../support/single-process.ts'

test('a dispatcher without the archive’s key says so, and goes on with other sources', async () => {
  await using opened = new AsyncDisposableStack()
  const folder = mkdtempSync(join(tmpdir(), 'hooktrail-apart-'))
  opened.defer(() => {
    rmSync(folder, { recursive: true, force: true })
  })
  const home = join(folder, 'home')
  mkdirSync(home, { mode: 0o700 })
  const { url } = opened.use(await createMigratedDatabase())
  const database = opened.use(
    openDatabase({ url, connectionsMax: 4, applicationName: 'apart-test', logger: silentLogger }),
  )
  await migrate(database)
  const common = { clock: systemClock, logger: silentLogger }
  const log = opened.use(
    await createPostgresEventLog(database, { topicPrefix: 'hooktrail', retentionMs: 3_600_000, ...common }),
  )
  await append(log, 'cut', 5)
  await append(log, 'whole', 5)
  const [cut] = (await log.topics()).filter(({ name }) => name.endsWith('.cut'))
  await log.truncate({ topic: cut?.name ?? '', topicId: cut?.id ?? '', partition: 0 }, 3n)

  const receiver = opened.use(await startReceiver())
  const handlerOf = (source: string): string =>
    `${source}: { source: ${source}, url: '${receiver.url}/${source}', allow_private: true }`
  const dispatcher = await startSingleProcess({
    ...{ kind: 'dispatcher', folder, home },
    config: `
digest_key: '${'0123456789abcdef'.repeat(4)}'
database: { url: '${url}' }
log: { partitions: 1 }
sources: { cut: { verify: none }, whole: { verify: none } }
handlers: { ${handlerOf('cut')}, ${handlerOf('whole')} }
`,
  })
  opened.defer(async () => {
    dispatcher.child.kill('SIGTERM')
    await dispatcher.exited
  })
  await receiver.arrived(5)
  assert(receiver.requests.every(({ path }) => path === '/whole'))
  const health = await eventually('/health says what is missing', 20_000, async () => {
    const text = await (await fetch(`${dispatcher.url}/health`)).text()
    return text.includes('ARCHIVE_READER_MISSING') ? text : null
  })
  assert.match(health, /neither archive\.public_key nor .*archive\.pub/)
})

async function append(log: EventLog, source: string, count: number): Promise<void> {
  const [topic] = await log.ensureTopics([{ name: `hooktrail.events.${source}`, partitions: 1 }])
  assert(topic !== undefined)
  const value = Buffer.from('{}')
  await log.append(
    Array.from({ length: count }, () => ({ topic, partition: 0, key: null, value, headers: [] })),
  )
}
