/** What an operator reads when the disk of the log fills up, and when it has room again. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DiskGuard } from '../../ingress/disk-guard.ts'
import { recordedLogger } from '../support/recorded-logger.ts'

test('a disk that fills up is told once at each bound, with what to do', async () => {
  let usedBytes = 0n
  const log = { diskUsage: () => Promise.resolve({ usedBytes, capacityBytes: 100n }) }
  const { logger, lines } = recordedLogger()
  const guard = new DiskGuard(log, { capacityBytes: null, alarmRatio: 0.7, shedRatio: 0.9 }, logger)
  for (usedBytes of [10n, 75n, 80n, 95n, 10n]) await guard.step()
  assert.deepEqual(
    lines.map(([, fields, message]) => [message, typeof fields['to_do']]),
    [
      ['disk of the log fills up', 'string'],
      ['disk of the log is too full: answering 503', 'string'],
      ['disk of the log is below its alarm again', 'undefined'],
      ['disk of the log has room again', 'undefined'],
    ],
  )
  assert.equal(guard.shedding, false)
})
