/** Which replay is asked next, when a look is worth it, and how much of each is planned ahead. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TakenJob } from '../../core/ports/delivery-store.ts'
import type { OpenReplay, ReplayTake } from '../../core/ports/replay-store.ts'
import { replayName } from '../../core/replay/replay-name.ts'
import { REPLAYED_JOBS_MAX, ReplayTakes } from '../../dispatcher/replay-takes.ts'
import { HandClock } from '../support/hand-clock.ts'

const LEASE = { leaseMs: 1_000, generation: 'g1' }

function open(id: string, more: Partial<OpenReplay> = {}): OpenReplay {
  return {
    ...{ replayId: id, handler: 'billing', name: replayName('billing', id), source: 'shop', topic: 't' },
    ...{
      toTopic: null,
      perSecond: null,
      filter: null,
      eventIds: null,
      status: 'running',
      ranges: [],
      ready: 0,
      retryable: 0,
    },
    ...more,
  }
}

function job(name: string, n: number): TakenJob {
  return {
    ...{
      jobId: `${n}.${name}`,
      eventId: String(n),
      handler: name,
      source: 'shop',
      eventType: 'a',
      topic: 't',
    },
    ...{
      topicId: 'i',
      partition: 0,
      offset: BigInt(n),
      attempt: 1,
      maxAttempts: 1,
      lease: 'l',
      createdAtMs: 0,
      lastError: null,
    },
  }
}

/** A store with so many due jobs of each replay. */
function stageOf(due: Record<string, number>) {
  const asked: string[] = []
  const clock = new HandClock()
  const takeReplayed = ({ name, slots }: ReplayTake): Promise<readonly TakenJob[]> => {
    asked.push(`${name.split('.')[1] ?? ''}:${slots}`)
    const count = Math.min(slots, due[name] ?? 0)
    due[name] = (due[name] ?? 0) - count
    return Promise.resolve(Array.from({ length: count }, (_, n) => job(name, n)))
  }
  return { asked, clock, takes: new ReplayTakes({ store: { takeReplayed }, clock }) }
}

test('replays take turns, and the slots that one leaves go to the next', async () => {
  const { asked, takes } = stageOf({ 'billing.a': 10, 'billing.b': 3 })
  takes.follow([open('a'), open('b'), open('c', { status: 'counting' })])
  assert.equal((await takes.take({ slots: 4, ...LEASE })).length, 4)
  assert.equal((await takes.take({ slots: 4, ...LEASE })).length, 4)
  assert.equal((await takes.take({ slots: 4, ...LEASE })).length, 4)
  assert.deepEqual(asked, ['a:4', 'b:4', 'a:1', 'b:4', 'a:4'])
})

test('without replays there is nothing to wait for, and a look that found nothing rests until somebody wakes', async () => {
  const { asked, clock, takes } = stageOf({})
  assert.equal(takes.waitMs(), Infinity)
  const { woken } = takes
  takes.follow([open('a')])
  assert(woken.aborted)
  assert.equal(takes.waitMs(), 0)
  assert.deepEqual(await takes.take({ slots: 1, ...LEASE }), [])
  assert.deepEqual(await takes.take({ slots: 1, ...LEASE }), [])
  assert.deepEqual(asked, ['a:1'])
  const restMs = takes.waitMs()
  assert(restMs > 0)
  clock.advance(restMs)
  assert.equal(takes.waitMs(), 0)
  await takes.take({ slots: 1, ...LEASE })
  takes.wake()
  assert.equal(takes.waitMs(), 0)
})

test('planning ahead has a bound with hysteresis, and waits for retries that pile up', () => {
  const { takes } = stageOf({})
  takes.follow([open('a')])
  assert(takes.admits('billing.a', 500))
  takes.reserve('billing.a', 500)
  takes.reserve('billing.a', -500)
  takes.planned('billing.a', REPLAYED_JOBS_MAX)
  assert(!takes.admits('billing.a', 500))
  for (let n = 0; n < REPLAYED_JOBS_MAX / 2 - 1; n++) takes.finished('billing.a')
  assert(!takes.admits('billing.a', 500))
  takes.finished('billing.a')
  assert(takes.admits('billing.a', 500))
  takes.follow([open('a', { retryable: 1_000_000 })])
  assert(!takes.admits('billing.a', 1))
  takes.follow([])
  assert(!takes.admits('billing.a', 1))
})
