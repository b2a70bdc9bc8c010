/** The independent check itself: a sound trail passes, and each kind of damage is named. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ArchivedRow } from '../support/archive-reader.ts'
import { checkTrail, type Trail } from '../support/trail-check.ts'

function event(partition: number, offset: bigint, eventId: string): ArchivedRow {
  return { topic: 'hooktrail.events.a', topicId: 'aa', partition, offset, eventId, value: '{}' }
}

function delivery(offset: bigint, record: Record<string, unknown>): ArchivedRow {
  return {
    topic: 'hooktrail.deliveries',
    topicId: 'dd',
    partition: 0,
    offset,
    eventId: null,
    value: JSON.stringify(record),
  }
}

function planStep(
  id: string,
  first: number,
  next: number,
  planned: readonly number[],
): Record<string, unknown> {
  return {
    kind: 'plan_step',
    id,
    handler: 'h',
    topic_id: 'aa',
    partition: 0,
    first: String(first),
    next: String(next),
    planned_offsets: planned.map(String),
  }
}

function attempt(id: string, jobId: string, error: string | null): Record<string, unknown> {
  return { kind: 'attempt', id, job_id: jobId, late: false, error }
}

const sound: Trail = {
  acked: ['E0', 'E1', 'E2'],
  received: ['E0.h', 'E1.h', 'E1.h', 'E2.h'],
  rows: [
    event(0, 0n, 'E0'),
    event(0, 1n, 'E1'),
    event(0, 2n, 'E2'),
    delivery(0n, planStep('s1', 0, 2, [0, 1])),
    delivery(1n, planStep('s2', 2, 3, [2])),
    delivery(2n, planStep('s2', 2, 3, [2])),
    delivery(3n, attempt('a1', 'E1.h', 'timeout')),
    delivery(4n, attempt('a2', 'E1.h', null)),
  ],
}

const damages: Readonly<Record<string, Trail>> = {
  'a removed row': { ...sound, rows: sound.rows.toSpliced(1, 1) },
  'a doubled row': { ...sound, rows: sound.rows.toSpliced(1, 0, event(0, 1n, 'E1')) },
  'two swapped rows': { ...sound, rows: sound.rows.toSpliced(0, 2, event(0, 1n, 'E1'), event(0, 0n, 'E0')) },
  'an acknowledged event that is not archived': { ...sound, acked: [...sound.acked, 'E9'] },
  'an acknowledged event that never reached the receiver': { ...sound, received: ['E0.h', 'E1.h'] },
  'a second request without a reason': { ...sound, received: [...sound.received, 'E0.h'] },
  'a gap between plan steps': { ...sound, rows: [...sound.rows, delivery(5n, planStep('s3', 4, 5, []))] },
  'an event that was planned twice': {
    ...sound,
    rows: [...sound.rows, delivery(5n, planStep('s3', 3, 4, [1]))],
  },
}

test('a sound trail passes, with a resent record and an excused second request', () => {
  assert.deepEqual(checkTrail(sound), [])
})

for (const [kind, trail] of Object.entries(damages)) {
  test(`${kind} is named`, () => {
    assert.equal(checkTrail(trail).length > 0, true)
  })
}
