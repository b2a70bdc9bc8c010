/**
 * One run of the benchmark: ingest at two widths, drain of a backlog, steady load, latency at a low rate, idle cost,
 * and the references, all on one installation. Each figure is a row; cli/bench.ts repeats runs and prints
 * minimum, median and maximum.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Figure } from './figures.ts'
import { BENCH_SECRET, startInstallation, type Installation, type Services } from './installation.ts'
import { quantile, runLoad, type LoadResult } from './load.ts'
import type { Usage } from './process-usage.ts'
import { profileEnv } from './profile.ts'
import { clientLoop, produceLoop, startReference } from './reference.ts'
import { startSink, type Sink } from './sink.ts'

export interface ScenarioOptions {
  readonly seconds: number
  readonly backlog: number
  readonly steadyPerSecond: number
  /** Null: one box. */
  readonly services: Services | null
  /** Into which V8 samples all threads of hooktrail; null: it does not. */
  readonly profileFolder: string | null
  readonly onStage: (stage: string) => void
}

const CONCURRENCY = 64
const QUIET_WINDOW_MS = 1_000
/** One lull is no rest: the archiver defers to deliveries, and catches up when they have ended. */
const QUIET_WINDOWS = 3
/** Of one core. */
const QUIET_SHARE = 0.1
const QUIET_MS_MAX = 120_000

/** Joins the time an event was sent with the time it arrived at the sink, whichever is known first. */
class Latencies {
  readonly #sent = new Map<string, number>()
  readonly #arrived = new Map<string, number>()
  readonly #values: number[] = []

  sent(eventId: string, atMs: number): void {
    this.#join(eventId, this.#arrived, this.#sent, atMs, (other) => other - atMs)
  }

  arrived(eventId: string, atMs: number): void {
    this.#join(eventId, this.#sent, this.#arrived, atMs, (other) => atMs - other)
  }

  take(): Float64Array {
    this.#sent.clear()
    this.#arrived.clear()
    return Float64Array.from(this.#values.splice(0)).sort()
  }

  #join(
    eventId: string,
    known: Map<string, number>,
    own: Map<string, number>,
    atMs: number,
    latency: (other: number) => number,
  ): void {
    const other = known.get(eventId)
    if (other === undefined) {
      own.set(eventId, atMs)
      return
    }
    known.delete(eventId)
    this.#values.push(latency(other))
  }
}

interface Bench {
  readonly installation: Installation
  readonly sink: Sink
  readonly latencies: Latencies
  readonly options: ScenarioOptions
  acked: number
}

export async function runScenarios(options: ScenarioOptions): Promise<readonly Figure[]> {
  const latencies = new Latencies()
  await using sink = await startSink((eventId, atMs) => {
    latencies.arrived(eventId, atMs)
  })
  options.onStage('starting')
  await using installation = await startInstallation({
    handlers: [{ name: 'sink', port: sink.port }],
    concurrency: CONCURRENCY,
    services: options.services,
    env: options.profileFolder === null ? {} : profileEnv(options.profileFolder),
  })
  const bench: Bench = { installation, sink, latencies, options, acked: 0 }
  await load(bench, { connections: 16, requestsMax: 4000, ratePerSecond: null })
  await settle(bench)
  return [
    ...(await idle(bench)),
    ...(await lowRate(bench)),
    ...(await ingest(bench, 32)),
    ...(await ingest(bench, 128)),
    ...(await steady(bench)),
    ...(await drain(bench)),
    ...(await references(bench)),
  ]
}

async function load(
  bench: Bench,
  shape: { connections: number; requestsMax: number; ratePerSecond: number | null },
): Promise<LoadResult> {
  const result = await runLoad({
    port: bench.installation.port,
    path: '/webhooks/bench',
    secret: BENCH_SECRET,
    durationMsMax: bench.options.seconds * 1000,
    ...shape,
    onAck: (eventId, sentAtMs) => {
      bench.latencies.sent(eventId, sentAtMs)
    },
  })
  bench.acked += result.acked
  return result
}

/** Waits until every acknowledged event has reached the sink. */
async function settle(bench: Bench): Promise<void> {
  await bench.sink.until(bench.acked)
}

/** Waits until nothing is left to do of the stage before, the archive's part included: stages must not pay for others. */
async function quiet(bench: Bench): Promise<void> {
  const giveUpAt = performance.now() + QUIET_MS_MAX
  let before = bench.installation.usage()
  for (let windows = 0; windows < QUIET_WINDOWS; windows++) {
    if (performance.now() > giveUpAt) throw new Error('hooktrail did not come to rest after a stage')
    await delay(QUIET_WINDOW_MS)
    const now = bench.installation.usage()
    const isBusy = [...cpuMsBetween(before, now).values()].some((ms) => ms >= QUIET_WINDOW_MS * QUIET_SHARE)
    if (isBusy) windows = -1
    before = now
  }
}

function cpuMsBetween(
  before: ReadonlyMap<string, Usage>,
  after: ReadonlyMap<string, Usage>,
): ReadonlyMap<string, number> {
  return new Map([...after].map(([name, { cpuMs }]) => [name, cpuMs - (before.get(name)?.cpuMs ?? 0)]))
}

/** One row for each process, and one for all where there are several servers. */
function cpuPerEvent(
  stage: string,
  {
    before,
    after,
    events,
  }: { before: ReadonlyMap<string, Usage>; after: ReadonlyMap<string, Usage>; events: number },
): readonly Figure[] {
  const used = [...cpuMsBetween(before, after)]
  const all = used.reduce((sum, [, cpuMs]) => sum + cpuMs, 0)
  return [...used, ['all of these', all] as const].map(([name, cpuMs]) => ({
    name: `${stage}: CPU of ${name}`,
    unit: 'µs/event',
    value: (cpuMs * 1000) / events,
  }))
}

async function idle(bench: Bench): Promise<readonly Figure[]> {
  bench.options.onStage('idle')
  await quiet(bench)
  const before = bench.installation.usage()
  const windowMs = 8000
  await delay(windowMs)
  const after = bench.installation.usage()
  return [...cpuMsBetween(before, after)].map(([name, cpuMs]) => ({
    name: `idle: CPU of ${name}`,
    unit: '%',
    value: (cpuMs / windowMs) * 100,
  }))
}

async function lowRate(bench: Bench): Promise<readonly Figure[]> {
  bench.options.onStage('200 events a second')
  await quiet(bench)
  bench.latencies.take()
  await load(bench, { connections: 32, requestsMax: Infinity, ratePerSecond: 200 })
  await settle(bench)
  const endToEnd = bench.latencies.take()
  return [
    { name: '200/s: end to end p50', unit: 'ms', value: quantile(endToEnd, 0.5) },
    { name: '200/s: end to end p99', unit: 'ms', value: quantile(endToEnd, 0.99) },
  ]
}

async function ingest(bench: Bench, connections: number): Promise<readonly Figure[]> {
  bench.options.onStage(`ingest over ${connections} connections`)
  await quiet(bench)
  const before = bench.installation.usage()
  const result = await load(bench, { connections, requestsMax: Infinity, ratePerSecond: null })
  const lagAtEnd = bench.acked - bench.sink.delivered()
  const archiveLag = await bench.installation.metric('hooktrail_archive_lag_records')
  await settle(bench)
  const after = bench.installation.usage()
  const name = `ingest C=${connections}`
  return [
    { name: `${name}: acked`, unit: '/s', value: (result.acked * 1000) / result.elapsedMs },
    { name: `${name}: ack p50`, unit: 'ms', value: quantile(result.latenciesMs, 0.5) },
    { name: `${name}: ack p99`, unit: 'ms', value: quantile(result.latenciesMs, 0.99) },
    { name: `${name}: refused`, unit: '', value: result.refused },
    { name: `${name}: behind at the end`, unit: 'events', value: lagAtEnd },
    { name: `${name}: archive lag at the end`, unit: 'records', value: archiveLag },
    ...cpuPerEvent(`${name}, to delivered`, { before, after, events: result.acked }),
  ]
}

async function steady(bench: Bench): Promise<readonly Figure[]> {
  const { steadyPerSecond } = bench.options
  bench.options.onStage(`${steadyPerSecond} events a second`)
  await quiet(bench)
  bench.latencies.take()
  const startedAtMs = performance.now()
  const before = bench.sink.delivered()
  const result = await load(bench, { connections: 64, requestsMax: Infinity, ratePerSecond: steadyPerSecond })
  const deliveredPerSecond = ((bench.sink.delivered() - before) * 1000) / (performance.now() - startedAtMs)
  await settle(bench)
  const endToEnd = bench.latencies.take()
  return [
    { name: `steady: offered`, unit: '/s', value: (result.acked * 1000) / result.elapsedMs },
    { name: `steady: delivered`, unit: '/s', value: deliveredPerSecond },
    { name: `steady: end to end p50`, unit: 'ms', value: quantile(endToEnd, 0.5) },
    { name: `steady: end to end p99`, unit: 'ms', value: quantile(endToEnd, 0.99) },
  ]
}

async function drain(bench: Bench): Promise<readonly Figure[]> {
  bench.options.onStage(`draining a backlog of ${bench.options.backlog}`)
  bench.sink.hold()
  while (bench.acked - bench.sink.delivered() < bench.options.backlog) {
    await load(bench, { connections: 32, requestsMax: bench.options.backlog / 4, ratePerSecond: null })
  }
  const backlog = bench.acked - bench.sink.delivered()
  await quiet(bench)
  const before = bench.installation.usage()
  const startedAtMs = performance.now()
  bench.sink.release()
  await settle(bench)
  const elapsedMs = performance.now() - startedAtMs
  const after = bench.installation.usage()
  return [
    { name: 'drain: delivered', unit: '/s', value: (backlog * 1000) / elapsedMs },
    ...cpuPerEvent('drain', { before, after, events: backlog }),
    ...[...after].map(([name, { residentBytes }]) => ({
      name: `resident memory of ${name}`,
      unit: 'MB',
      value: residentBytes / 1e6,
    })),
  ]
}

async function references(bench: Bench): Promise<readonly Figure[]> {
  bench.options.onStage('references')
  const { databaseUrl: url, brokers } = bench.installation
  const durationMs = bench.options.seconds * 1000
  const measure = async (databaseUrl: string | null): Promise<number> => {
    await using reference = await startReference(databaseUrl)
    const { acked, elapsedMs } = await runLoad({
      port: reference.port,
      path: '/',
      secret: BENCH_SECRET,
      connections: 32,
      ratePerSecond: null,
      requestsMax: Infinity,
      durationMsMax: durationMs,
      onAck: () => undefined,
    })
    return (acked * 1000) / elapsedMs
  }
  return [
    { name: 'reference: bare node:http, answers only', unit: '/s', value: await measure(null) },
    { name: 'reference: bare node:http + one INSERT a request', unit: '/s', value: await measure(url) },
    {
      name: 'reference: bare HTTP client, POST to the sink',
      unit: '/s',
      value: await clientLoop({ port: bench.sink.port, concurrency: CONCURRENCY, durationMs }),
    },
    ...(brokers === null
      ? []
      : [
          {
            name: 'reference: bare Kafka producer, acks=all, C=32',
            unit: '/s',
            value: await produceLoop({ brokers, concurrency: 32, durationMs }),
          },
        ]),
  ]
}
