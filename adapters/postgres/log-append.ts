/**
 * Appending: one statement, hence one commit, for a batch over any topics and partitions. Records are grouped by
 * partition and the groups sorted, because the database locks the partition rows in the order given; see log_append
 * in infra/sql/000001_log.sql.
 */
import assert from 'node:assert/strict'
import type { AppendRecord, LogPosition } from '../../core/ports/event-log.ts'
import { encodeHeaders } from './log-headers.ts'
import type { LogTopics } from './log-topics.ts'
import { byteaArray, int4Array } from './sql.ts'

export interface PartitionKey {
  readonly topicNo: number
  readonly partition: number
}

interface Group extends PartitionKey {
  count: number
}

/** A topic's partitions are far fewer: the pair fits one safe integer. */
const PARTITIONS_MAX = 2 ** 20

/** Senders are answered 503 meanwhile, and few batches are in flight: a silent connection must not hold them up. */
const APPEND_MS_MAX = 10_000

const APPEND = {
  name: 'log-append',
  answerMsMax: APPEND_MS_MAX,
  text: 'SELECT base_offset, base_timestamp FROM log_append($1, $2, $3, $4, $5, $6, $7, $8)',
}

export async function appendRecords(
  topics: LogTopics,
  records: readonly AppendRecord[],
): Promise<{ positions: readonly LogPosition[]; touched: readonly PartitionKey[] }> {
  const { groups, groupOf, ranks } = await groupRecords(topics, records)
  const indexOf = new Map(groups.map((group, index) => [group, index]))
  const bases = await topics.there.query<{ base_offset: bigint; base_timestamp: bigint }>(APPEND, [
    int4Array(groups.map(({ topicNo }) => topicNo)),
    int4Array(groups.map(({ partition }) => partition)),
    int4Array(groups.map(({ count }) => count)),
    int4Array(groupOf.map((group) => (indexOf.get(group) ?? -1) + 1)),
    int4Array(ranks),
    byteaArray(records.map(({ key }) => key)),
    byteaArray(records.map(({ value }) => value)),
    byteaArray(records.map(({ headers }) => encodeHeaders(headers))),
  ])
  assert.equal(bases.length, groups.length)
  const positions = groupOf.map((group, index) => {
    const base = bases[indexOf.get(group) ?? -1]
    assert.ok(base !== undefined)
    return {
      partition: group.partition,
      offset: base.base_offset + BigInt(ranks[index] ?? 0),
      timestampMs: base.base_timestamp,
    }
  })
  return { positions, touched: groups }
}

async function groupRecords(
  topics: LogTopics,
  records: readonly AppendRecord[],
): Promise<{ groups: readonly Group[]; groupOf: readonly Group[]; ranks: readonly number[] }> {
  const numbers = new Map<string, number>()
  for (const { topic } of records)
    if (!numbers.has(topic.id)) numbers.set(topic.id, await topics.numberOf(topic.id))
  const groups = new Map<number, Group>()
  const ranks: number[] = []
  const groupOf = records.map(({ topic, partition }) => {
    assert.ok(partition >= 0 && partition < PARTITIONS_MAX, 'a partition number is small')
    const topicNo = numbers.get(topic.id) ?? 0
    const key = topicNo * PARTITIONS_MAX + partition
    const group = groups.get(key) ?? { topicNo, partition, count: 0 }
    groups.set(key, group)
    ranks.push(group.count++)
    return group
  })
  const sorted = [...groups].sort(([a], [b]) => a - b).map(([, group]) => group)
  return { groups: sorted, groupOf, ranks }
}
