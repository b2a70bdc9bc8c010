/**
 * Warns above `log.disk.alarm`, and sheds load before the log's disk is full (I11): above `log.disk.shed` requests are
 * answered 503 without an append, so the archiver can catch up and the log be cut. Asked at most every few seconds,
 * never on a request's path.
 */
import type { LogConfig } from '../core/config/config.ts'
import type { Logger } from '../core/log.ts'
import type { EventLog } from '../core/ports/event-log.ts'

const MAKE_ROOM =
  'hooktrail status says whether the archiver is behind, which keeps the log from being cut; else free space, shorten log.retention or enlarge the disk (docs/operations.md)'

export class DiskGuard {
  readonly #log: Pick<EventLog, 'diskUsage'>
  readonly #disk: LogConfig['disk']
  readonly #logger: Logger
  #shedding = false
  #alarmed = false
  #known = true

  constructor(log: Pick<EventLog, 'diskUsage'>, disk: LogConfig['disk'], logger: Logger) {
    this.#log = log
    this.#disk = disk
    this.#logger = logger
  }

  get shedding(): boolean {
    return this.#shedding
  }

  /** A log that does not answer keeps the last verdict: its appends fail by themselves. True when it answered. */
  async step(): Promise<boolean> {
    try {
      const { usedBytes, capacityBytes } = await this.#log.diskUsage()
      const capacity = this.#disk.capacityBytes ?? (capacityBytes === null ? null : Number(capacityBytes))
      this.#note(capacity === null || capacity === 0 ? 0 : Number(usedBytes) / capacity)
      this.#known = true
      return true
    } catch (error) {
      if (this.#known) this.#logger.warn({ err: error }, 'the log does not say how full its disk is')
      this.#known = false
      return false
    }
  }

  #note(ratio: number): void {
    const { alarmRatio, shedRatio } = this.#disk
    this.#alarm(ratio >= alarmRatio, ratio)
    const shedding = ratio >= shedRatio
    if (shedding !== this.#shedding)
      this.#logger.warn(
        { ratio, shedRatio, ...(shedding ? { to_do: MAKE_ROOM } : {}) },
        shedding ? 'disk of the log is too full: answering 503' : 'disk of the log has room again',
      )
    this.#shedding = shedding
  }

  #alarm(alarmed: boolean, ratio: number): void {
    if (alarmed === this.#alarmed) return
    this.#alarmed = alarmed
    this.#logger.warn(
      { ratio, alarmRatio: this.#disk.alarmRatio, ...(alarmed ? { to_do: MAKE_ROOM } : {}) },
      alarmed ? 'disk of the log fills up' : 'disk of the log is below its alarm again',
    )
  }
}
