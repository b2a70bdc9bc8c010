/**
 * A topic of the Postgres log goes on under a new id, from offset 0, with what it holds from given offsets on; what lay
 * before them is read in the archive from then on. One transaction, behind the locks that every append takes: nothing that
 * was acknowledged is passed over. Whatever in the job store points to a record that moves is moved with it.
 */
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { TopicId } from '../../core/ports/event-log.ts'
import type { Database, Queryable } from './database.ts'

const UNBOUNDED_MS = 0

/** @param keptFrom by partition. @throws LOG_TOPIC_REPLACED where no topic has this id (any more), LOG_UNAVAILABLE */
export async function replaceTopic(
  database: Database,
  topicId: TopicId,
  keptFrom: readonly bigint[],
): Promise<void> {
  await database.transaction(
    async (transaction) => {
      await transaction.query('SET LOCAL statement_timeout = 0')
      const stopped = await transaction.query("SELECT FROM store WHERE state = 'recovering' FOR SHARE")
      if (stopped.length === 0)
        throw new HooktrailError('LOG_UNAVAILABLE', { reason: 'the job store beside it has not stopped' })
      const [old] = await transaction.query<{ topic_no: number; name: string }>(
        `SELECT topic_no, name FROM log_topics WHERE replace(topic_id::text, '-', '') = $1 FOR UPDATE`,
        [topicId],
      )
      if (old === undefined) throw new HooktrailError('LOG_TOPIC_REPLACED', { topicId })
      await transaction.query(
        'SELECT FROM log_partitions WHERE topic_no = $1 ORDER BY partition_no FOR UPDATE',
        [old.topic_no],
      )
      const next = await makeTopic(transaction, old)
      for (const [partition, from] of keptFrom.entries())
        await movePartition(transaction, { ...next, old: old.topic_no, topicId, partition, from })
      await transaction.query('DELETE FROM log_topics WHERE topic_no = $1', [old.topic_no])
      await transaction.query('INSERT INTO travelled_topics (topic_id, topic) VALUES ($1, $2)', [
        topicId,
        old.name,
      ])
    },
    { answerMsMax: UNBOUNDED_MS },
  )
}

/** Shares the lock that replaceTopic takes. @throws LOG_TOPIC_REPLACED */
export function whileThere<T>(database: Database, topicId: TopicId, run: () => Promise<T>): Promise<T> {
  return database.transaction(async (transaction) => {
    const found = await transaction.query(
      `SELECT FROM log_topics WHERE replace(topic_id::text, '-', '') = $1 FOR SHARE`,
      [topicId],
    )
    if (found.length === 0) throw new HooktrailError('LOG_TOPIC_REPLACED', { topicId })
    return run()
  })
}

interface NewTopic {
  readonly no: number
  readonly id: string
}

async function makeTopic(
  transaction: Queryable,
  { topic_no: old, name }: { readonly topic_no: number; readonly name: string },
): Promise<NewTopic> {
  // The name is given once.
  await transaction.query("UPDATE log_topics SET name = '~' || topic_no WHERE topic_no = $1", [old])
  const [made] = await transaction.query<NewTopic & Record<string, unknown>>(
    `INSERT INTO log_topics (name, partitions) SELECT $2, partitions FROM log_topics WHERE topic_no = $1
     RETURNING topic_no AS no, replace(topic_id::text, '-', '') AS id`,
    [old, name],
  )
  if (made === undefined) throw new HooktrailError('LOG_TOPIC_REPLACED', { topic: name })
  await transaction.query(
    `INSERT INTO log_partitions (topic_no, partition_no, next_offset, log_start, last_timestamp)
     SELECT $2, partition_no, 0, 0, last_timestamp FROM log_partitions WHERE topic_no = $1`,
    [old, made.no],
  )
  return made
}

interface MovedPartition extends NewTopic {
  /** Number of the topic that goes. */
  readonly old: number
  readonly topicId: TopicId
  readonly partition: number
  readonly from: bigint
}

async function movePartition(
  transaction: Queryable,
  { no, id, old, topicId, partition, from }: MovedPartition,
): Promise<void> {
  await transaction.query(
    `UPDATE log_partitions p SET next_offset = greatest(o.next_offset - $4::int8, 0) FROM log_partitions o
      WHERE p.topic_no = $2 AND p.partition_no = $3 AND o.topic_no = $1 AND o.partition_no = $3`,
    [old, no, partition, from.toString()],
  )
  await transaction.query(
    `UPDATE log_records SET topic_no = $2, record_offset = record_offset - $4::int8
      WHERE topic_no = $1 AND partition_no = $3 AND record_offset >= $4::int8`,
    [old, no, partition, from.toString()],
  )
  await transaction.query('SELECT move_pointers($1, $2, $3::int4, $4::int8)', [
    topicId,
    id,
    partition,
    from.toString(),
  ])
}
