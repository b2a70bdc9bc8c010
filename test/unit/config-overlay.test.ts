/** An overlay adds and replaces by keys, and every fault is placed in the file that has the key. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { faultsOf, handler, tellingsOf, valid } from '../support/config-reader.ts'

const base = handler('headers: { x-a: one, x-b: two }, events: [a, b]')
const places = (text: string, overlay: string): readonly unknown[] =>
  faultsOf(text, overlay).map(({ file, path, line, column }) => [file, path, line, column])

test('mappings are merged, lists and values replaced, and a new name is added', () => {
  const config = valid(
    base,
    'handlers: { h: { headers: { x-b: three }, events: [c] }, i: { source: a, url: "https://example.org/" } }\nserver: { port: 9000 }\n',
  )
  assert.deepEqual(config.handlers[0]?.headers, { 'x-a': 'one', 'x-b': 'three' })
  assert.deepEqual(config.handlers[0].events, ['c'])
  assert.deepEqual(
    config.handlers.map(({ name }) => name),
    ['h', 'i'],
  )
  assert.equal(config.server.port, 9000)
})

test('an empty overlay changes nothing', () => {
  assert.deepEqual(valid(base, '# nothing\n'), valid(base))
})

test('a fault is placed in the file that has the key', () => {
  assert.deepEqual(places(base, 'handlers: { h: { timeout: 1h } }'), [
    ['hooktrail.prod.yaml', 'handlers.h.timeout', 1, 18],
  ])
  assert.deepEqual(places(handler('timeout: 1h'), 'handlers: { h: { concurrency: 1 } }'), [
    ['hooktrail.yaml', 'handlers.h.timeout', 3, 58],
  ])
  assert.deepEqual(places(base, 'handlers: { h: { url: "${ABSENT}" } }'), [
    ['hooktrail.prod.yaml', 'handlers.h.url', 1, 23],
  ])
  assert.deepEqual(places(base, 'handlers: [h]'), [['hooktrail.prod.yaml', 'handlers', 1, 1]])
  assert.deepEqual(places(base, '- 1'), [['hooktrail.prod.yaml', '', 1, 1]])
})

test('faults of both files are told at once, the file first', () => {
  assert.deepEqual(
    faultsOf('version: 1\nlog: { partitions: 0 }', 'archive: { worm: on }').map(({ file }) => file),
    ['hooktrail.yaml', 'hooktrail.prod.yaml'],
  )
  assert.equal(tellingsOf('version: 1\nlog: {', 'version: 1\nlog: {').length, 2)
})
