/** Replays asked for by the API and driven step by step, on the API's stage. */
import assert from 'node:assert/strict'
import { z } from 'zod'
import { createReportStore } from '../../adapters/postgres/report-store.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import type { JobStore } from '../../core/ports/job-store.ts'
import type { EventRecord } from '../../core/record/event-record.ts'
import type { Dispatcher } from '../../dispatcher/compose-dispatcher.ts'
import { WaitList } from '../../dispatcher/wait-list.ts'
import { openApiStage, type ApiStage } from './api-stage.ts'
import { deliverOnce, planAll, type StageOptions } from './dispatcher-stage.ts'
import type { ReceivedRequest } from './receiver.ts'

const STEPS_MS_MAX = 60_000

const count = z.number()
const answerSchema = z.looseObject({
  ...{ id: z.string(), status: z.string() },
  ...{ planned: count, filtered: count, duplicate: count, errors: count },
  ...{ delivered: count, dead: count, discarded: count, open: count },
  ...{ offsets: count, offsets_done: count },
})

export type ReplayAnswer = z.output<typeof answerSchema>

export interface ReplayStage extends AsyncDisposable {
  readonly api: ApiStage
  readonly dispatcher: Dispatcher
  readonly waits: WaitList
  /** Appends events, plans and delivers them to `handler`, and forgets the requests that came of it. */
  deliverLive(events: readonly Partial<EventRecord>[], handler?: string): Promise<readonly EventRecord[]>
  create(body: Record<string, unknown>): Promise<ReplayAnswer>
  act(id: string, action: 'pause' | 'resume' | 'cancel'): Promise<ReplayAnswer>
  show(id: string): Promise<ReplayAnswer>
  /** Plans and delivers until the replay is in `status`. */
  runTo(id: string, status: string, dispatcher?: Dispatcher): Promise<ReplayAnswer>
  /** One look, one step of everything. */
  round(dispatcher?: Dispatcher): Promise<void>
  /** What the receiver got of replays since. */
  replayed(): readonly ReceivedRequest[]
  agrees(): Promise<void>
}

export async function openReplayStage(options: StageOptions): Promise<ReplayStage> {
  await using opening = new AsyncDisposableStack()
  const api = opening.use(await openApiStage(options))
  const { stage } = api
  const waits = new WaitList()
  const dispatcher = await stage.compose({ log: api.reader(), waits })
  await planAll(dispatcher)
  const ask = async (path: string, body?: Record<string, unknown>): Promise<ReplayAnswer> => {
    const answer = await api.ask(path, body === undefined ? {} : { method: 'POST', body })
    assert.equal(answer.status, 200, answer.text)
    return answerSchema.parse(answer.json())
  }
  const show = (id: string) => ask(`/api/replays/${id}`)
  const opened = opening.move()
  return {
    ...{ api, dispatcher, waits, show },
    deliverLive: async (given, handler = 'billing') => {
      const events = await stage.append(given)
      await planAll(dispatcher)
      await until('live events are delivered', async () => {
        const { items } = await stage.store.listJobs({ handler, state: 'available', limit: 1 })
        if (items.length > 0) await deliverOnce(dispatcher, handler)
        return items.length === 0
      })
      return events
    },
    round: (by = dispatcher) => replayRound(by, stage.store),
    create: (body) => ask('/api/replays', { handler: 'billing', ...body }),
    act: (id, action) => ask(`/api/replays/${id}/${action}`, {}),
    runTo: async (id, status, by = dispatcher) => {
      await until(`the replay is ${status}`, async () => {
        await replayRound(by, stage.store)
        return (await show(id)).status === status
      })
      return show(id)
    },
    replayed: () =>
      stage.receiver.requests.filter(({ headers }) => headers['x-hooktrail-replay'] !== undefined),
    agrees: async () => {
      const report = createReportStore(stage.database, null, systemClock)
      const window = { sinceMs: null, untilMs: null }
      assert.deepEqual((await report.sums(window, new AbortController().signal)).disagreeing, [])
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  }
}

/** One look, one planning step of each range, one take of each handler, and everything until its outcomes are written. */
async function replayRound(dispatcher: Dispatcher, store: Pick<JobStore, 'openReplays'>): Promise<void> {
  const signal = AbortSignal.timeout(STEPS_MS_MAX)
  await dispatcher.replays.look()
  await dispatcher.replays.step(signal)
  for (const runner of dispatcher.runners) {
    // Without a replay that runs a take waits for live jobs.
    const open = await store.openReplays([runner.handler])
    if (open.some(({ status }) => status === 'running')) await runner.step(signal)
    await runner.drained(signal)
  }
  assert(!signal.aborted, 'a round ends')
}

export async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const signal = AbortSignal.timeout(STEPS_MS_MAX)
  while (!(await isSo())) assert(!signal.aborted, what)
}
