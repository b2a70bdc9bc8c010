/** Lists of the command line: aligned, and nothing in them that a terminal obeys. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tableText } from '../../cli/table.ts'

const columns = [
  { title: 'ID', field: 'id' },
  { title: 'BYTES', field: 'bytes', right: true },
  { title: 'TYPE', field: 'type' },
]

test('columns are as wide as their widest value, and absent values are a dash', () => {
  const rows = [
    { id: '1', bytes: 12_345_678, type: 'a' },
    { id: '10', bytes: 2, type: null },
  ]
  assert.equal(
    tableText(columns, rows),
    ['ID     BYTES  TYPE', '1   12345678  a', '10         2  -'].join('\n'),
  )
  assert.equal(tableText(columns, []), 'ID  BYTES  TYPE')
})

test('a value cannot move the cursor, colour the terminal or begin a line', () => {
  const text = tableText(columns, [{ id: '1', bytes: 1, type: '\u001b[2J\r\nx\u202e\u009b' }])
  assert.equal(text.split('\n').at(-1), '1       1  \u{fffd}[2J\u{fffd}\u{fffd}x\u{fffd}\u{fffd}')
})
