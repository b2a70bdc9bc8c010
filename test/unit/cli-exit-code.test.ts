/** Exit codes of commands: a script tells what was refused from what it may try again. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { STATUS } from '../../api/problem.ts'
import { exitCodeOf } from '../../cli/report-error.ts'
import { isErrorCode } from '../../core/error/catalogue.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'

test('what the API refuses is never the exit code of an API that cannot be reached', () => {
  const refused = Object.entries(STATUS).filter(([, status]) => status < 500)
  assert.ok(refused.length > 10)
  for (const [code] of refused) {
    assert.ok(isErrorCode(code))
    assert.ok([64, 65, 66].includes(exitCodeOf(new HooktrailError(code, {}))), code)
  }
})
