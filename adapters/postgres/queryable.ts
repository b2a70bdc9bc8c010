/** Statements on a connection: each bounded in time, each error the catalogue's own where it is one of the server. */
import type { Client, QueryResultRow } from 'pg'
import { mapDatabaseError } from './database-error.ts'
import type { Queryable, Statement } from './database.ts'

type Target = Pick<Client, 'query'>

/** Each statement bounded by `answerMsMax` or its own. */
export function queryable(target: Target, answerMsMax: number): Queryable {
  return {
    query: (statement, values = []) => ask(target, { statement, values, answerMsMax }),
  }
}

export interface Question {
  readonly statement: string | Statement
  readonly values: readonly unknown[]
  /** Where the statement has no bound of its own. */
  readonly answerMsMax: number
}

export async function ask<Row extends QueryResultRow>(
  target: Target,
  { statement, values, answerMsMax }: Question,
): Promise<readonly Row[]> {
  const {
    name,
    text,
    answerMsMax: own,
  }: Statement = typeof statement === 'string' ? { text: statement } : statement
  const config = {
    text,
    // Without values the driver uses the simple protocol, which allows several statements in one text.
    ...(values.length === 0 ? {} : { values: [...values] }),
    ...(name === undefined ? {} : { name }),
    // Whoever holds the connection closes it when a query failed; the driver itself would go on waiting.
    query_timeout: own ?? answerMsMax,
  }
  try {
    return (await target.query<Row>(config)).rows
  } catch (error) {
    throw mapDatabaseError(error)
  }
}
