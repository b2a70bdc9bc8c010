/** Conflicts are told once a minute, with all that came meanwhile, and never when there are none. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KeyConflicts } from '../../dispatcher/key-conflicts.ts'
import { HandClock } from '../support/hand-clock.ts'
import { recordedLogger } from '../support/recorded-logger.ts'

test('conflicts of a source are told at most once a minute, with how many there were', () => {
  const clock = new HandClock()
  const { logger, lines } = recordedLogger()
  const dedup = { key: null, windowMs: 1, onConflict: 'deliver', onResend: 'revive' } as const
  const conflicts = new KeyConflicts({ source: { name: 'shop', dedup }, clock, logger })
  const told = () => lines.map(([level, fields]) => [level, fields['source'], fields['conflicts']])
  conflicts.note(0)
  conflicts.note(2)
  conflicts.note(3)
  assert.deepEqual(told(), [['warn', 'shop', 2]])
  clock.advance(60_000)
  conflicts.note(0)
  assert.deepEqual(told(), [
    ['warn', 'shop', 2],
    ['warn', 'shop', 3],
  ])
})
