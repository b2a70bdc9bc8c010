/** How far a handler is behind, and what is left until its backlog leaves the log. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HandlerLags } from '../../dispatcher/handler-lags.ts'

test('records are summed over partitions, the hindmost counts for seconds and for the margin to the retention', () => {
  const values = new Map<string, number | null>()
  const metrics = {
    count: () => undefined,
    observe: () => undefined,
    set: (name: string, _: unknown, value: number | null) => values.set(name, value),
  }
  const lags = new HandlerLags(metrics, 3_600_000)
  lags.note('billing', 0, { records: 10, seconds: 600 })
  lags.note('billing', 1, { records: 5, seconds: 60 })
  assert.deepEqual(Object.fromEntries(values), {
    handler_lag_records: 15,
    handler_lag_seconds: 600,
    handler_margin_seconds: 3_000,
  })
  lags.note('billing', 1, { records: 5, seconds: 7_200 })
  assert.equal(values.get('handler_margin_seconds'), 0, 'it reads in the archive')
})
