/** How full the disks of the log are: those of the fullest broker, where it tells, else our own topics' bytes. */
import type { Admin } from '@platformatic/kafka'
import type { Topic } from '../../core/ports/event-log.ts'

export interface DiskUsage {
  readonly usedBytes: bigint
  readonly capacityBytes: bigint | null
}

export async function diskUsage(admin: Admin, topics: readonly Topic[]): Promise<DiskUsage> {
  const ours = topics.map(({ name, partitions }) => ({
    name,
    partitions: Array.from({ length: partitions }, (_, partition) => partition),
  }))
  const folders = (await admin.describeLogDirs({ topics: ours })).flatMap(({ results }) => results)
  const disks = folders
    .filter(({ totalBytes }) => totalBytes > 0n)
    .map(({ totalBytes, usableBytes }) => ({
      usedBytes: totalBytes - usableBytes,
      capacityBytes: totalBytes,
    }))
  const [first, ...rest] = disks
  if (first !== undefined)
    return rest.reduce(
      (fullest, disk) =>
        disk.usedBytes * fullest.capacityBytes > fullest.usedBytes * disk.capacityBytes ? disk : fullest,
      first,
    )
  const sizes = folders.flatMap((folder) => folder.topics.flatMap(({ partitions }) => partitions))
  return { usedBytes: sizes.reduce((sum, { partitionSize }) => sum + partitionSize, 0n), capacityBytes: null }
}
