/**
 * One installation of a size with senders before it and a receiver behind it, for tests that break it. However often it
 * was killed and started, in the end `settle` waits until it has caught up by itself and `check` holds what senders were
 * told, what the receiver saw and what the archive holds against each other, without product code.
 */
import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deliveredJobs } from './archive-reader.ts'
import { untilReportAddsUp } from './deliveries.ts'
import { eventually, freePort, startInstallation, type Installation } from './installation.ts'
import { startReceiver, type Receiver } from './receiver.ts'
import { startSingleProcess, type SingleProcess } from './single-process.ts'
import { SOURCES, startSenders, type Senders, type Sending } from './senders.ts'
import type { Size } from './sizes.ts'
import { checkTrail, type Trail } from './trail-check.ts'

export const SETTLE_MS_MAX = 120_000

export interface TrailStage extends AsyncDisposable {
  readonly receiver: Receiver
  readonly url: string
  /** Also again, after a stop or a kill. Resolves when it is ready. */
  start(): Promise<Installation>
  /** One of the processes alone, on the same stores. */
  startBeside(trail: Installation, kind: string): Promise<SingleProcess>
  /** To wherever it runs, or not. */
  senders(sending: Pick<Sending, 'connections' | 'events' | 'pauseMs'> & { signal?: AbortSignal }): Senders
  /** All that is archived, read without product code. */
  rows(trail: Installation): Trail['rows']
  /** Ids of what was acknowledged so far. */
  acked(): readonly string[]
  /** Of each request that the receiver got: `<event id>.<handler>` and more. */
  received(): readonly string[]
  /** Resolves when the receiver got all that was acknowledged so far. */
  delivered(): Promise<void>
  /** Delivered, accounted for and archived, all by itself. */
  settle(trail: Installation): Promise<void>
  /** Stops it. @returns what is there to be checked, of an archive that is whole; its losses may be declared */
  find(trail: Installation, exitCode?: number): Promise<Trail>
  /** Stops it. @returns what was checked: how much it was, and for damaged copies */
  check(trail: Installation): Promise<Trail>
}

/** @param settings YAML beside the size's own, sources and handler */
export async function openTrailStage(size: Size, settings = ''): Promise<TrailStage> {
  await using opened = new AsyncDisposableStack()
  const folder = mkdtempSync(join(tmpdir(), 'hooktrail-trail-'))
  opened.defer(() => {
    rmSync(folder, { recursive: true, force: true })
  })
  const [ackFile, receivedFile] = [join(folder, 'acked'), join(folder, 'received')]
  for (const file of [ackFile, receivedFile]) appendFileSync(file, '')
  const receiver = opened.use(await startReceiver({ file: receivedFile, keepBodies: false }))
  const port = await freePort()
  const config = `${size.config}
delivery: { timeout: 2s, default_retry: { max: 50, backoff: [100ms, 200ms, 500ms] } }
${SOURCES}
handlers: { one: { source: github, url: '${receiver.url}/one', allow_private: true } }
${settings}`
  const files: Files = { size, ackFile, receivedFile }
  const url = `http://127.0.0.1:${port}`
  const kept = opened.move()
  return {
    receiver,
    url,
    start: () => startInstallation({ folder, port, config, env: size.env }),
    startBeside: ({ home }, kind) => startSingleProcess({ kind, folder, home, config }),
    senders: ({ signal = new AbortController().signal, ...sending }) =>
      startSenders({ ...sending, url, ackFile, signal }),
    rows: (trail) => size.rows(trail.home),
    acked: () => lines(ackFile),
    received: () => lines(receivedFile),
    delivered: () => delivered(files),
    settle: (trail) => settle(trail, files),
    find: (trail, exitCode = 0) => find(trail, files, exitCode),
    check: (trail) => check(trail, files),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

interface Files {
  readonly size: Size
  readonly ackFile: string
  /** `<event id>.<handler>` and more, one request a line. */
  readonly receivedFile: string
}

async function delivered({ ackFile, receivedFile }: Files): Promise<void> {
  const acked = lines(ackFile)
  await eventually('all events are delivered', SETTLE_MS_MAX, () => {
    const received = new Set(lines(receivedFile).map((line) => line.split('.')[0]))
    return Promise.resolve(acked.every((id) => received.has(id)) ? true : null)
  })
}

async function settle(trail: Installation, files: Files): Promise<void> {
  const { size, ackFile } = files
  try {
    await delivered(files)
    await untilReportAddsUp(() => trail.cli('report', '--url', trail.url), SETTLE_MS_MAX)
    // Leases of the killed run out first; then the archive catches up while everything else is quiet.
    await eventually('the archive holds every event and its successful attempt', SETTLE_MS_MAX, () => {
      const rows = size.rows(trail.home)
      const succeeded = deliveredJobs(rows)
      // Each topic has a lease of its own, so that attempts may be archived long before their events.
      const events = new Set(
        rows.flatMap(({ topic, eventId }) => (topic.includes('.events.') ? [eventId] : [])),
      )
      const isArchived = (id: string): boolean => events.has(id) && succeeded.has(`${id}.one`)
      return Promise.resolve(lines(ackFile).every(isArchived) ? true : null)
    })
  } catch (error) {
    throw new Error(trail.output(), { cause: error })
  }
}

async function check(trail: Installation, files: Files): Promise<Trail> {
  const found = await find(trail, files, 0)
  assert.deepEqual(checkTrail(found), [])
  return found
}

async function find(
  trail: Installation,
  { size, ackFile, receivedFile }: Files,
  exitCode: number,
): Promise<Trail> {
  assert.equal(await trail.stop(), 0, trail.output())
  const found: Trail = {
    acked: lines(ackFile),
    received: lines(receivedFile).flatMap((line) => line.split(' ')[0] ?? []),
    rows: size.rows(trail.home),
  }
  const key = join(trail.home, 'keys', 'archive.pub')
  const verified = await trail.cli('archive', 'verify', size.archive(trail.home), '--key', key)
  assert.equal(verified.code, exitCode, verified.stdout + verified.stderr)
  return found
}

export function countsText({ acked, received, rows }: Trail): string {
  return `${acked.length} acknowledged, ${received.length} requests, ${rows.length} rows archived`
}

function lines(file: string): readonly string[] {
  const text = readFileSync(file, 'utf8').trim()
  return text === '' ? [] : text.split('\n')
}
