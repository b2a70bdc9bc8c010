/** Which handlers a dispatcher serves, by pools and names, and what is said of a name that nothing has. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { selectHandlers, type HandlerSelection } from '../../core/config/select-handlers.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'

const HANDLERS = [
  { name: 'app', pool: 'default' },
  { name: 'billing', pool: 'heavy' },
  { name: 'crm', pool: 'heavy' },
]

const select = (selection: Partial<HandlerSelection>): readonly string[] =>
  selectHandlers(HANDLERS, { pools: [], handlers: [], ...selection })

test('pools and names add up, and without either it is the pool default', () => {
  assert.deepEqual(select({}), ['app'])
  assert.deepEqual(select({ pools: ['heavy'] }), ['billing', 'crm'])
  assert.deepEqual(select({ pools: ['default', 'heavy'] }), ['app', 'billing', 'crm'])
  assert.deepEqual(select({ handlers: ['crm'] }), ['crm'])
  assert.deepEqual(select({ pools: ['default'], handlers: ['crm'] }), ['app', 'crm'])
})

test('a pool or a handler that nothing has is refused, with the nearest name or all of them', () => {
  const refused = (selection: Partial<HandlerSelection>): unknown => {
    try {
      return select(selection)
    } catch (error) {
      assert.ok(isHooktrailError(error))
      return [error.code, error.details]
    }
  }
  assert.deepEqual(refused({ pools: ['heavy', 'hevy'] }), [
    'DISPATCHER_UNKNOWN_POOL',
    { name: 'hevy', did_you_mean: 'heavy' },
  ])
  assert.deepEqual(refused({ handlers: ['somebody-else'] }), [
    'DISPATCHER_UNKNOWN_HANDLER',
    { name: 'somebody-else', known: ['app', 'billing', 'crm'] },
  ])
})
