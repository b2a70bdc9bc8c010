/** Statements on a pool or a connection: each bounded in time, each error the catalogue's own where it is one of the server. */
import type { Client, Pool, QueryResultRow } from 'pg'
import { mapDatabaseError } from './database-error.ts'
import type { Queryable, Statement } from './database.ts'

/** Each statement bounded by `answerMsMax` or its own. */
export function queryable(
  target: Pick<Client, 'query'> | Pick<Pool, 'query'>,
  answerMsMax: number,
): Queryable {
  return {
    query: async <Row extends QueryResultRow>(
      statement: string | Statement,
      values: readonly unknown[] = [],
    ) => {
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
        // The pool closes the connection of a query that failed; the driver itself would go on waiting.
        query_timeout: own ?? answerMsMax,
      }
      try {
        return (await target.query<Row>(config)).rows
      } catch (error) {
        throw mapDatabaseError(error)
      }
    },
  }
}
