/**
 * Where the log's partitions begin and end, as a table for the report's statements: from the same snapshot where the log
 * lies in this database, else as literals. Those are read after the snapshot was taken, so that no position of the
 * snapshot can lie behind them.
 */
import assert from 'node:assert/strict'
import type { LogEnd } from '../../core/ports/report-store.ts'

export const LOG_ENDS_HERE = `
  SELECT t.name AS topic, replace(t.topic_id::text, '-', '') AS topic_id, p.partition_no, p.log_start, p.next_offset
    FROM log_topics t JOIN log_partitions p USING (topic_no)`

const COLUMNS = 'e (topic, topic_id, partition_no, log_start, next_offset)'
const NOTHING = `SELECT * FROM (VALUES ('', '', 0, 0::int8, 0::int8)) AS ${COLUMNS} WHERE false`
/** Names of topics and ids that need no quoting. */
const PLAIN = /^[A-Za-z0-9._-]{1,249}$/

export function logEndsText(ends: readonly LogEnd[]): string {
  if (ends.length === 0) return NOTHING
  const rows = ends.map(({ topic, topicId, partition, logStart, highWatermark }) => {
    assert.match(topic, PLAIN)
    assert.match(topicId, PLAIN)
    return `('${topic}', '${topicId}', ${partition}, ${logStart}::int8, ${highWatermark}::int8)`
  })
  return `SELECT * FROM (VALUES ${rows.join(', ')}) AS ${COLUMNS}`
}
