/**
 * What one dead handler among ten costs the nine others: the same events through the same ten handlers, once all well and
 * once for each way of being dead, each on an installation of its own. The cost is how much less the nine get a second.
 */
import { BENCH_SECRET, freePort, startInstallation } from './installation.ts'
import { runLoad } from './load.ts'
import type { Figure } from './figures.ts'
import { FAILING, startSink } from './sink.ts'

export interface IsolationOptions {
  /** That each handler gets. */
  readonly events: number
  readonly onStage: (stage: string) => void
}

const OTHERS = 9
const CONCURRENCY = 20
const CONNECTIONS = 32
const WARM_UP_EVENTS = 500
const LOAD_MS_MAX = 600_000

/** Where the tenth handler sends, and what has to be closed afterwards. */
interface Tenth extends AsyncDisposable {
  readonly port: number
}

const ignored = (): void => undefined

const TENTHS: readonly (readonly [name: string, open: () => Promise<Tenth>])[] = [
  ['all ten work', () => startSink(ignored)],
  ['one hangs', holdingSink],
  ['one answers 500', () => startSink(ignored, FAILING)],
  ['one refuses', async () => ({ port: await freePort(), [Symbol.asyncDispose]: () => Promise.resolve() })],
]

export async function runIsolation(options: IsolationOptions): Promise<readonly Figure[]> {
  const figures: Figure[] = []
  let well: number | null = null
  for (const [name, open] of TENTHS) {
    options.onStage(name)
    await using tenth = await open()
    const perSecond = await deliveredPerSecond(tenth, options)
    figures.push({ name: `${name}: delivered to the nine`, unit: '/s', value: perSecond })
    if (well !== null)
      figures.push({ name: `${name}: cost to the nine`, unit: '%', value: (1 - perSecond / well) * 100 })
    well ??= perSecond
  }
  return figures
}

async function holdingSink(): Promise<Tenth> {
  const sink = await startSink(ignored)
  sink.hold()
  return sink
}

async function deliveredPerSecond({ port }: Tenth, { events }: IsolationOptions): Promise<number> {
  await using sink = await startSink(ignored)
  const others = Array.from({ length: OTHERS }, (_, n) => ({ name: `other-${n}`, port: sink.port }))
  const handlers = [...others, { name: 'tenth', port }]
  await using installation = await startInstallation({ services: null, handlers, concurrency: CONCURRENCY })
  const load = async (requests: number): Promise<void> => {
    const { acked } = await runLoad({
      ...{ port: installation.port, path: '/webhooks/bench', secret: BENCH_SECRET },
      ...{ connections: CONNECTIONS, requestsMax: requests, durationMsMax: LOAD_MS_MAX, ratePerSecond: null },
      onAck: ignored,
    })
    expected += acked * OTHERS
    await sink.until(expected)
  }
  let expected = 0
  await load(WARM_UP_EVENTS)
  const startedAtMs = performance.now()
  const before = expected
  await load(events)
  return ((expected - before) * 1_000) / (performance.now() - startedAtMs)
}
