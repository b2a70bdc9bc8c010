/**
 * What is done on a connection of the pool: single statements, transactions, run again where two met, and bulk reads.
 * A connection that stopped answering is closed, not given back.
 */
import type { PoolClient, QueryResultRow } from 'pg'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import { copyOut, parseRows, type CopiedRow } from './copy-rows.ts'
import { isRepeatable, mapDatabaseError } from './database-error.ts'
import type { Queryable, Statement, TransactionOptions } from './database.ts'
import { ask, queryable } from './queryable.ts'

const ATTEMPTS_MAX = 5

/** Of the pool. What it rejects with comes through. */
export type CheckOut = () => Promise<PoolClient>

type BoundedOptions = TransactionOptions & { readonly answerMsMax: number }

/** Deadlocks and serialization failures are run again, at most ATTEMPTS_MAX times in all. */
export async function runTransaction<T>(
  checkOut: CheckOut,
  run: (transaction: Queryable) => Promise<T>,
  options: BoundedOptions,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await runOnce(checkOut, run, options)
    } catch (error) {
      if (!isRepeatable(error) || attempt === ATTEMPTS_MAX) throw error
    }
  }
}

function runOnce<T>(
  checkOut: CheckOut,
  run: (transaction: Queryable) => Promise<T>,
  { signal, answerMsMax }: BoundedOptions,
): Promise<T> {
  return withClient(checkOut, async (client, discard) => {
    const transaction = queryable(client, answerMsMax)
    signal?.addEventListener('abort', discard, { once: true })
    try {
      if (signal?.aborted === true) discard()
      await transaction.query('BEGIN')
      const result = await run(transaction)
      await transaction.query('COMMIT')
      return result
    } catch (error) {
      // One that did not answer would not answer to this either: closed, it is rolled back by the server.
      if (isHooktrailError(error, 'STORE_UNAVAILABLE')) discard()
      else await transaction.query('ROLLBACK').catch(discard)
      throw error
    } finally {
      signal?.removeEventListener('abort', discard)
    }
  })
}

/** Each statement on a connection for itself, which is closed where it fails. */
export function singly(checkOut: CheckOut, answerMsMax: number): Queryable {
  return {
    query: async <Row extends QueryResultRow>(
      statement: string | Statement,
      values: readonly unknown[] = [],
    ): Promise<readonly Row[]> => {
      const client = await checkOut()
      let isBroken = true
      try {
        const rows = await ask<Row>(client, { statement, values, answerMsMax })
        isBroken = false
        return rows
      } finally {
        client.release(isBroken)
      }
    },
  }
}

interface Copy {
  readonly name: string
  readonly values: readonly (number | bigint)[]
  readonly answerMsMax: number
}

/** The rows of a set-returning function called with numbers. */
export function copyFrom(
  checkOut: CheckOut,
  { name, values, answerMsMax }: Copy,
): Promise<readonly CopiedRow[]> {
  return withClient(checkOut, async (client, discard) => {
    const silence = setTimeout(discard, answerMsMax)
    const copied = await copyOut(client, name, values)
      .catch((error: unknown) => {
        discard()
        throw mapDatabaseError(error)
      })
      .finally(() => {
        clearTimeout(silence)
      })
    return parseRows(copied)
  })
}

/** A connection of the pool for several messages; `discard` closes it at once, under whatever runs on it. */
async function withClient<T>(
  checkOut: CheckOut,
  run: (client: PoolClient, discard: () => void) => Promise<T>,
): Promise<T> {
  const client = await checkOut()
  let isReleased = false
  const release = (isBroken: boolean): void => {
    if (!isReleased) client.release(isBroken)
    isReleased = true
  }
  try {
    return await run(client, () => {
      release(true)
    })
  } finally {
    release(false)
  }
}
