/** The window of acknowledged keys: bounded in time and in number, the first event stays the original. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DedupWindow } from '../../ingress/dedup-window.ts'

test('a key is found until the window has passed', () => {
  const window = new DedupWindow(30_000, 10)
  window.acknowledge('k', 'first', 0)
  assert.equal(window.find('k', 29_999), 'first')
  assert.equal(window.find('k', 30_000), null)
  assert.equal(window.find('other', 0), null)
})

test('a later event of the same key does not replace the original, unless the window has passed', () => {
  const window = new DedupWindow(30_000, 10)
  window.acknowledge('k', 'first', 0)
  window.acknowledge('k', 'second', 20_000)
  assert.equal(window.find('k', 25_000), 'first')
  window.acknowledge('k', 'third', 40_000)
  assert.equal(window.find('k', 60_000), 'third')
})

test('past its size the oldest keys leave, and old ones leave by themselves', () => {
  const window = new DedupWindow(1000, 3)
  for (const key of ['a', 'b', 'c', 'd']) window.acknowledge(key, key, 0)
  assert.deepEqual([window.size, window.find('a', 1), window.find('d', 1)], [3, null, 'd'])
  window.acknowledge('e', 'e', 5000)
  assert.equal(window.size, 1)
})
