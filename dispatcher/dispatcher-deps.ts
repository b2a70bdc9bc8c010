/** What a dispatcher is handed: ports, names, and who is told what. Nothing here changes while it runs. */
import type { Clock } from '../core/clock.ts'
import type { Demand } from '../core/demand.ts'
import type { Logger } from '../core/log.ts'
import type { EventLog, ForeignTopicLog, GroupOffsetLog } from '../core/ports/event-log.ts'
import type { JobQueue } from '../core/ports/job-queue.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import type { Metrics } from '../core/ports/metrics.ts'
import type { WaitList } from './wait-list.ts'

export interface DispatcherDeps {
  /** Log and archive as one: backlogs and payloads outlive the log's retention. */
  readonly log: EventLog
  /** Absent where the log is not Kafka. */
  readonly groupOffsetLog?: GroupOffsetLog
  readonly foreignLog?: ForeignTopicLog
  readonly store: JobStore
  readonly queue: JobQueue
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
  readonly digestKey: string
  /** Handlers that are taken and sent here; absent: all. Planned is for all of them in any case. */
  readonly serves?: ReadonlySet<string>
  /** In [0, 1); for jitter. */
  readonly random?: () => number
  /** Of a handler, and of a planning step; default: those of backlog.ts and partition-planner.ts. */
  readonly openJobsMax?: number
  readonly stepRecordsMax?: number
  /** Told when a take got all that it asked for. */
  readonly demand?: Pick<Demand, 'note'>
  /** Names the server that the store answers from; absent: there is but one. */
  readonly server?: () => string | null
  /** Told when the log may tell of what the store does not hold (store-guard.ts). */
  readonly doubt?: () => void
  /** Of the store, when a stop does not wait for it any more. */
  readonly abandoned?: AbortSignal
}

export interface ComposeDeps extends DispatcherDeps {
  readonly random: () => number
  /** Who holds leases: this process. */
  readonly owner: string
  readonly waits: WaitList
  readonly giveUp: AbortSignal
  /** Topics have got other ids. */
  readonly renew: () => void
}
