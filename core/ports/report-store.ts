/** Port: the sums of the report. One snapshot, so that they can be compared. Adapter: adapters/postgres. */
export interface ReportWindow {
  /** Of the event's receipt; `untilMs` is exclusive. */
  readonly sinceMs: number
  readonly untilMs: number
}

export interface SourceSums {
  readonly source: string
  readonly received: number
  readonly duplicate: number
  readonly conflict: number
}

export interface HandlerSums {
  readonly source: string
  readonly handler: string
  readonly planned: number
  readonly delivered: number
  readonly dead: number
  readonly inProgress: number
}

export interface ReportSums {
  readonly sources: readonly SourceSums[]
  readonly handlers: readonly HandlerSums[]
  /** Events whose plan steps, jobs and attempts contradict each other; at most 100. */
  readonly disagreeing: readonly { readonly eventId: string; readonly reason: string }[]
}

export interface ReportStore {
  sums(window: ReportWindow): Promise<ReportSums>
}
