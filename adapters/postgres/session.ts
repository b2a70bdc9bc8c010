/**
 * What every session is set to: synchronous_commit on, UTC, bounded waits for locks and statements, and the schema
 * `hooktrail` as its search path; and the check that the server keeps what it acknowledges.
 */
import type { ClientConfig } from 'pg'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { DatabaseOptions, Queryable } from './database.ts'
import { resultTypes } from './sql.ts'

const CONNECT_TIMEOUT_MS = 5_000
const LOCK_TIMEOUT_MS = 10_000
export const STATEMENT_TIMEOUT_MS = 30_000
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 60_000

export function sessionConfig({ url, applicationName }: DatabaseOptions, schema: string): ClientConfig {
  const settings = [
    'synchronous_commit=on',
    'timezone=UTC',
    `search_path=${schema}`,
    `lock_timeout=${LOCK_TIMEOUT_MS}`,
    `statement_timeout=${STATEMENT_TIMEOUT_MS}`,
    `idle_in_transaction_session_timeout=${IDLE_IN_TRANSACTION_TIMEOUT_MS}`,
  ]
  return {
    connectionString: url,
    application_name: applicationName,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    types: resultTypes,
    options: settings.map((setting) => `-c ${setting}`).join(' '),
  }
}

/** fsync and full_page_writes are what an acknowledgement stands on: off is refused. @throws LOG_FSYNC_OFF */
export async function requireDurableSettings(database: Queryable): Promise<void> {
  const [settings] = await database.query<
    Record<'fsync' | 'full_page_writes' | 'synchronous_commit', string>
  >(
    `SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
            current_setting('synchronous_commit') AS synchronous_commit`,
  )
  if (settings?.fsync !== 'on' || settings.full_page_writes !== 'on' || settings.synchronous_commit === 'off')
    throw new HooktrailError('LOG_FSYNC_OFF', { ...settings })
}
