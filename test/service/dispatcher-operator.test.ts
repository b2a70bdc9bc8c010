/** What an operator reads in the log at level info: handlers that fail, jobs that die, handlers that were removed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { composeDispatcher } from '../../dispatcher/compose-dispatcher.ts'
import { openApiStage } from '../support/api-stage.ts'
import { deliverOnce, openDispatcherStage, planAll } from '../support/dispatcher-stage.ts'
import { recordedLogger } from '../support/recorded-logger.ts'

test('a handler that begins to fail and a job that dies have a line each', async () => {
  const retry = { attemptsMax: 2, backoff: { kind: 'fixed', intervalMs: 1 } } as const
  await using stage = await openDispatcherStage({ handlers: [{ name: 'billing', retry }] })
  const { logger, lines } = recordedLogger()
  stage.receiver.script('/billing', () => 500)
  const dispatcher = await stage.compose({ logger })
  await stage.append([{}])
  await planAll(dispatcher)
  for (let attempt = 1; attempt <= 2; attempt++) await deliverOnce(dispatcher, 'billing')
  const said = lines.filter(([level]) => level === 'warn').map(([, { error }, message]) => [message, error])
  assert.deepEqual(said, [
    ['deliveries to a handler begin to fail', 'http_5xx'],
    ['the job is dead', 'http_5xx'],
  ])
})

test('jobs that are dead at planning have a line for each handler and step', async () => {
  const filter = 'payload.amount > 1'
  await using stage = await openDispatcherStage({ handlers: [{ name: 'billing', filter }] })
  const { logger, lines } = recordedLogger()
  const dispatcher = await stage.compose({ logger })
  const [event] = await stage.append([{}, {}])
  await planAll(dispatcher)
  const said = lines.filter(([level]) => level === 'error').map(([, fields]) => fields)
  const first = { detail: 'field not found: amount', event_id: event?.id }
  assert.deepEqual(said, [{ handler: 'billing', jobs: 2, error: 'filter_error', ...first }])
})

test('a handler that was removed is named at start and in the verdict, with its open jobs', async () => {
  await using api = await openApiStage({ handlers: [{ name: 'billing' }] })
  const { stage } = api
  const { handlers } = stage.config
  const former = handlers.map((handler) => ({ ...handler, name: 'former' }))
  const old = await composeDispatcher({ ...stage.config, handlers: [...handlers, ...former] }, stage.deps())
  await stage.append([{}, {}])
  await planAll(old)
  await old.close()
  const { logger, lines } = recordedLogger()
  await stage.compose({ logger })
  const [warning] = lines.filter(([level]) => level === 'warn')
  assert.deepEqual(warning?.[1], { handlers: 1, open_jobs: { former: 2 } })
  const health = (await api.ask('/health')).json()
  assert.match(String(health['verdict']), /former is not in the configuration any more: .* its 2 open jobs/)
})
