/**
 * One outcome that the store refuses must not take its batch with it: the batch is halved until the row is alone, and
 * then set aside with an alarm. Its job stays running, its lease expires, and the attempt becomes `unknown`.
 */
import { isHooktrailError } from '../../../core/error/hooktrail-error.ts'
import type { Logger } from '../../../core/log.ts'
import type { AttemptOutcome } from '../../../core/ports/delivery-store.ts'
import { isRepeatable, sqlStateOf } from '../database-error.ts'
import type { Queryable } from '../database.ts'
import { recordBatch } from './outcomes.ts'

/** Data exception, integrity constraint violation, program limit exceeded: the rows are at fault, not the store. */
const ROW_FAULT = /^(22|23|54)/
/** Deadlocks and serialization failures; the caller repeats after that. */
const ATTEMPTS_MAX = 5

export async function recordOutcomes(
  database: Queryable,
  outcomes: readonly AttemptOutcome[],
  logger: Logger,
): Promise<ReadonlySet<string>> {
  const late: string[] = []
  // Halves wait here, so that the depth of a division is not the depth of calls.
  const waiting = outcomes.length === 0 ? [] : [outcomes]
  for (let batch = waiting.pop(); batch !== undefined; batch = waiting.pop()) {
    try {
      late.push(...(await repeat(() => recordBatch(database, batch))))
    } catch (error) {
      if (!isRowFault(error)) throw error
      const middle = batch.length >> 1
      if (middle > 0) waiting.push(batch.slice(middle), batch.slice(0, middle))
      else for (const outcome of batch) setAside(outcome, error, logger)
    }
  }
  return new Set(late)
}

function setAside({ job, errorClass, next }: AttemptOutcome, error: unknown, logger: Logger): void {
  const { jobId, attempt } = job
  logger.error(
    { err: error, jobId, attempt, errorClass, nextState: next.state },
    'the store refuses the outcome of an attempt: it becomes unknown when its lease expires',
  )
}

function isRowFault(error: unknown): boolean {
  return !isHooktrailError(error) && ROW_FAULT.test(sqlStateOf(error) ?? '')
}

async function repeat<T>(run: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++)
    try {
      return await run()
    } catch (error) {
      if (!isRepeatable(error) || attempt === ATTEMPTS_MAX) throw error
    }
}
