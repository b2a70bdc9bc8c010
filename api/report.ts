/**
 * The report: the store's sums and checks, and the archive's chains beside them. The archive is read before and after
 * the store's snapshot: it only grows, so the first look may not lie beyond the log's end, nor the second before its start.
 */
import type { ArchiveStore } from '../core/ports/archive-store.ts'
import type {
  Disagreement,
  LogPartitionSums,
  ReportStore,
  ReportSums,
  ReportWindow,
} from '../core/ports/report-store.ts'
import type { ArchiveChain, ArchiveChains, ArchiveLoss } from './archive-chains.ts'
import { readLogSums, type LogSums, type LogSumsDeps } from './log-sums.ts'

export interface ReportDeps extends LogSumsDeps {
  readonly report: ReportStore
  readonly chains: ArchiveChains
  /** Null where this process cannot read the archive, or while there is none. */
  readonly openArchive: () => Promise<ArchiveStore | null>
}

export interface PartitionReport extends LogPartitionSums {
  /** First offset that is not archived; null where the archive was not read. */
  readonly archivedTo: bigint | null
}

export interface Report extends Omit<ReportSums, 'partitions'>, LogSums {
  readonly verdict: 'agree' | 'disagree' | 'loss'
  readonly partitions: readonly PartitionReport[]
  /** Records in the archive by topic. */
  readonly archived: readonly { readonly topic: string; readonly records: bigint }[]
  readonly losses: readonly ArchiveLoss[]
  readonly archiveRead: boolean
}

export async function makeReport(
  deps: ReportDeps,
  window: ReportWindow,
  signal: AbortSignal,
): Promise<Report> {
  const { report, chains } = deps
  const archive = await deps.openArchive()
  const before = archive === null ? [] : await chains.follow(archive)
  const sums = await report.sums(window, signal)
  const logged = await readLogSums(deps, window, signal)
  const after = archive === null ? [] : await chains.follow(archive)
  const disagreeing = [...sums.disagreeing, ...archiveDisagreements({ sums, before, after })]
  const losses = archive === null ? [] : chains.losses
  const heads = headsOf(after)
  return {
    ...sums,
    ...logged,
    verdict: disagreeing.length > 0 ? 'disagree' : losses.length > 0 ? 'loss' : 'agree',
    partitions: sums.partitions.map((partition) => ({
      ...partition,
      archivedTo: heads.get(nameOf(partition))?.next ?? null,
    })),
    archived: recordsByTopic(after),
    disagreeing,
    losses,
    archiveRead: archive !== null,
  }
}

interface Views {
  readonly sums: ReportSums
  readonly before: readonly ArchiveChain[]
  readonly after: readonly ArchiveChain[]
}

function archiveDisagreements({ sums, before, after }: Views): readonly Disagreement[] {
  const earlier = headsOf(before)
  const later = headsOf(after)
  const holes = after.flatMap((chain) => (chain.hole === null ? [] : [disagreement(chain, chain.hole)]))
  const ends = sums.partitions.flatMap((partition) => {
    const { logStart, highWatermark } = partition
    const ahead = earlier.get(nameOf(partition))
    const behind = later.get(nameOf(partition))
    if (ahead !== undefined && ahead.next > highWatermark)
      return [disagreement(partition, `archived to ${ahead.next}, and the log ends at ${highWatermark}`)]
    if (behind !== undefined && behind.next < logStart)
      return [disagreement(partition, `archived to ${behind.next}, and the log begins at ${logStart}`)]
    return []
  })
  return [...holes, ...ends]
}

function disagreement(
  { topic, partition }: { topic: string; partition: number },
  reason: string,
): Disagreement {
  return { eventId: null, place: `${topic}/${partition} in the archive`, reason }
}

function headsOf(chains: readonly ArchiveChain[]): ReadonlyMap<string, ArchiveChain> {
  return new Map(chains.map((chain) => [nameOf(chain), chain]))
}

function nameOf({
  topic,
  topicId,
  partition,
}: Pick<ArchiveChain, 'topic' | 'topicId' | 'partition'>): string {
  return `${topic}/${topicId}/${partition}`
}

function recordsByTopic(chains: readonly ArchiveChain[]): Report['archived'] {
  const records = new Map<string, bigint>()
  for (const chain of chains) records.set(chain.topic, (records.get(chain.topic) ?? 0n) + chain.records)
  return [...records].map(([topic, count]) => ({ topic, records: count }))
}
