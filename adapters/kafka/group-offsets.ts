/**
 * Where handlers stand, written as offsets of Kafka groups, so that Kafka's own tools show each handler's lag. Nothing
 * reads them back: positions live in the job store. A group with members refuses.
 */
import type { Admin } from '@platformatic/kafka'
import type { GroupPosition } from '../../core/ports/event-log.ts'
import { asLogError } from './broker-error.ts'

/** @throws LOG_UNAVAILABLE, LOG_REFUSED */
export async function commitGroupOffsets(
  admin: Admin,
  group: string,
  positions: readonly GroupPosition[],
): Promise<void> {
  const topics = [...Map.groupBy(positions, ({ topic }) => topic)].map(([name, partitionOffsets]) => ({
    name,
    partitionOffsets: partitionOffsets.map(({ partition, offset }) => ({ partition, offset })),
  }))
  if (topics.length > 0) await asLogError(admin.alterConsumerGroupOffsets({ groupId: group, topics }))
}
