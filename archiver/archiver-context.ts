/** What every step of the archiver is handed: ports, keys and names. Nothing here changes while it runs. */
import type { SegmentFormat } from '../core/archive/manifest.ts'
import type { NoteVerifier } from '../core/archive/signed-note.ts'
import type { Clock } from '../core/clock.ts'
import type { ArchiveConfig } from '../core/config/config.ts'
import type { Demand } from '../core/demand.ts'
import type { Logger } from '../core/log.ts'
import type { AnchorTarget } from '../core/ports/anchor-target.ts'
import type { ArchiveStore } from '../core/ports/archive-store.ts'
import type { EventLog, ReplaceableLog, TopicPartition } from '../core/ports/event-log.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import type { Metrics } from '../core/ports/metrics.ts'
import type { KeySource, Signer } from '../core/ports/signer.ts'
import type { ArchiveKeys } from './archive-keys.ts'
import type { Protecting, WormDeps } from './protecting.ts'

export interface ArchiverDeps {
  readonly log: EventLog
  readonly archive: ArchiveStore
  /** Null where this process has none: leases are left out. */
  readonly store: JobStore | null
  /** The key to begin with. */
  readonly signer: Signer
  /** Keys of which the archive must have one: as root, first or later key. */
  readonly verifiers: readonly NoteVerifier[]
  /** Where the signer's successor comes from; absent: there is never one. */
  readonly keySource?: KeySource
  /** Third parties that see checkpoints; absent: none. */
  readonly anchors?: readonly AnchorTarget[]
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
  /** Of the deliveries in this process; absent where there are none. */
  readonly demand?: Pick<Demand, 'isHigh'>
  /** Holds segments until they are in the store; whatever lies there at start is swept. */
  readonly spoolDirectory: string
  /** Unique name of this process, e.g. host, pid and a random part. */
  readonly instance: string
  readonly formatsText: string
  /** Programs that go into a new archive: key → text. */
  readonly tools?: Readonly<Record<string, string>>
  /** The log where it travels with the job store; absent where it is Kafka. */
  readonly replaceableLog?: ReplaceableLog
  /** The same: how many connections to it were lost so far, behind each of which there may be another one. */
  readonly lostConnections?: () => number
  /** And which server it answers from. */
  readonly server?: () => string | null
  /** Absent where nothing is locked. */
  readonly worm?: WormDeps
  /** What the job store remembers, where somebody asked it already: an archive that is missing is then not made anew. */
  readonly rememberedArchiveId?: string | null
}

export interface ArchiverContext extends ArchiverDeps {
  readonly archiveId: string
  readonly keys: ArchiveKeys
  /** Of data objects where no manifest says otherwise. */
  readonly genesisFormat: SegmentFormat
  readonly settings: ArchiveConfig
  /** Absent for who only reads. */
  readonly protection?: Protecting
}

/** The context before genesis was read. */
export type OpeningContext = Omit<ArchiverContext, 'archiveId' | 'keys' | 'genesisFormat' | 'protection'>

export function partitionKey({ topic, topicId, partition }: TopicPartition): string {
  return `${topic}/${topicId}/${partition}`
}

export function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}
