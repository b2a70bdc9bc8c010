/** Notes of archivers about their open segments: one row each, small, and forgotten when its writer falls silent. */
import type { RunningRootStore } from '../../../core/ports/running-root-store.ts'
import type { Queryable } from '../database.ts'

/** Longer than a segment is open by default, and than a store or a clock is away for. */
const KEPT = "interval '15 minutes'"
/** Each writer has one; bounds what a flood of restarts leaves to be read. */
const NOTES_MAX = 1000

const POST = {
  name: 'running_roots_post',
  text: `WITH forgotten AS (
    DELETE FROM running_roots WHERE posted_at <= now() - ${KEPT} AND writer <> $1
  ) INSERT INTO running_roots (writer, note) VALUES ($1, $2)
    ON CONFLICT (writer) DO UPDATE SET note = excluded.note, posted_at = now()`,
}

const READ = {
  name: 'running_roots_read',
  text: `SELECT note FROM running_roots WHERE posted_at > now() - ${KEPT} ORDER BY posted_at DESC LIMIT ${NOTES_MAX}`,
}

export function createRunningRootStore(database: Queryable): RunningRootStore {
  return {
    postRunningRoots: async (writer, note) => {
      await database.query(POST, [writer, note])
    },
    runningRoots: async () => {
      const rows = await database.query<{ note: Buffer }>(READ)
      return rows.map(({ note }) => note)
    },
  }
}
