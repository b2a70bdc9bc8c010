/**
 * The outbox as a relay finds it. Rows become readable when every older transaction of the whole server has ended, so
 * a test that shares the server with others waits for its own rows.
 */
import type { OutboxKind, OutboxPosition, OutboxRow, OutboxStore } from '../../core/ports/job-store.ts'
import { eventually } from './installation.ts'

const LIMIT = 100
const WAIT_MS_MAX = 20_000

export async function outboxRows(
  store: OutboxStore,
  kind: OutboxKind,
  atLeast = 1,
): Promise<{ readonly from: OutboxPosition; readonly rows: readonly OutboxRow[] }> {
  return eventually(`the outbox shows ${atLeast} ${kind}`, WAIT_MS_MAX, async () => {
    const found = await store.readOutbox(kind, LIMIT)
    return found.rows.length >= atLeast ? found : null
  })
}
