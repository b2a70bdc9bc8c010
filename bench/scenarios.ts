/**
 * One run of the benchmark: ingest at two widths, drain of a backlog, steady load, latency at a low rate, idle cost,
 * and the references, all on one installation. Each figure is a row; cli/bench.ts repeats runs and prints
 * minimum, median and maximum.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { BENCH_SECRET, startInstallation, type Installation } from './installation.ts'
import { quantile, runLoad, type LoadResult } from './load.ts'
import { startReference } from './reference.ts'
import { startSink, type Sink } from './sink.ts'

export interface Figure {
  readonly name: string
  readonly unit: string
  readonly value: number
}

export interface ScenarioOptions {
  readonly seconds: number
  readonly backlog: number
  readonly steadyPerSecond: number
  readonly onStage: (stage: string) => void
}

const CONCURRENCY = 64
const QUIET_WINDOW_MS = 1_000
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
  await using installation = await startInstallation({ sinkPort: sink.port, concurrency: CONCURRENCY })
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
  const cpuMs = (): number => {
    const { node, postgres } = bench.installation.usage()
    return node.cpuMs + postgres.cpuMs
  }
  for (let before = cpuMs(); ;) {
    await delay(QUIET_WINDOW_MS)
    const now = cpuMs()
    if (now - before < QUIET_WINDOW_MS * QUIET_SHARE) return
    if (performance.now() > giveUpAt) throw new Error('hooktrail did not come to rest after a stage')
    before = now
  }
}

async function idle(bench: Bench): Promise<readonly Figure[]> {
  bench.options.onStage('idle')
  await quiet(bench)
  const before = bench.installation.usage()
  const windowMs = 8000
  await delay(windowMs)
  const after = bench.installation.usage()
  const percent = (from: number, to: number): number => ((to - from) / windowMs) * 100
  return [
    { name: 'idle: CPU of node', unit: '%', value: percent(before.node.cpuMs, after.node.cpuMs) },
    { name: 'idle: CPU of Postgres', unit: '%', value: percent(before.postgres.cpuMs, after.postgres.cpuMs) },
  ]
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
    {
      name: `${name}: CPU of node, to delivered`,
      unit: 'µs/event',
      value: ((after.node.cpuMs - before.node.cpuMs) * 1000) / result.acked,
    },
    {
      name: `${name}: CPU of Postgres, to delivered`,
      unit: 'µs/event',
      value: ((after.postgres.cpuMs - before.postgres.cpuMs) * 1000) / result.acked,
    },
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
    {
      name: 'drain: CPU of node',
      unit: 'µs/event',
      value: ((after.node.cpuMs - before.node.cpuMs) * 1000) / backlog,
    },
    {
      name: 'drain: CPU of Postgres',
      unit: 'µs/event',
      value: ((after.postgres.cpuMs - before.postgres.cpuMs) * 1000) / backlog,
    },
    { name: 'resident memory of node', unit: 'MB', value: after.node.residentBytes / 1e6 },
  ]
}

async function references(bench: Bench): Promise<readonly Figure[]> {
  bench.options.onStage('references')
  const url = `postgresql://hooktrail@/hooktrail?host=${encodeURIComponent(bench.installation.socketDirectory)}`
  const measure = async (databaseUrl: string | null): Promise<number> => {
    await using reference = await startReference(databaseUrl)
    const { acked, elapsedMs } = await runLoad({
      port: reference.port,
      path: '/',
      secret: BENCH_SECRET,
      connections: 32,
      ratePerSecond: null,
      requestsMax: Infinity,
      durationMsMax: bench.options.seconds * 1000,
      onAck: () => undefined,
    })
    return (acked * 1000) / elapsedMs
  }
  return [
    { name: 'reference: bare node:http, answers only', unit: '/s', value: await measure(null) },
    { name: 'reference: bare node:http + one INSERT a request', unit: '/s', value: await measure(url) },
  ]
}
