/** A connection outside the pool: for LISTEN, session locks and COPY. It ends once and is not replaced. */
import { Client, type ClientConfig } from 'pg'
import { from as copyFromStdin, to as copyToStdout } from 'pg-copy-streams'
import { mapDatabaseError } from './database-error.ts'
import type { Connection } from './database.ts'
import { queryable } from './queryable.ts'

export async function openConnection(
  config: ClientConfig,
  answerMsMax: number,
  onNotification?: (channel: string, payload: string) => void,
): Promise<Connection> {
  const client = new Client(config)
  const closed = Promise.withResolvers<void>()
  client.on('end', () => {
    closed.resolve()
  })
  client.on('error', () => {
    closed.resolve()
  })
  if (onNotification !== undefined)
    client.on('notification', ({ channel, payload }) => {
      onNotification(channel, payload ?? '')
    })
  try {
    await client.connect()
  } catch (error) {
    throw mapDatabaseError(error)
  }
  return {
    closed: closed.promise,
    ...queryable(client, answerMsMax),
    copyOut: (statement) => client.query(copyToStdout(statement)),
    copyIn: (statement) => client.query(copyFromStdin(statement)),
    [Symbol.asyncDispose]: async () => {
      await client.end().catch(() => undefined)
      closed.resolve()
    },
  }
}
