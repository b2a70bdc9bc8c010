/**
 * The archiver: every topic of the log goes into the archive, one signed chain a partition, under signed heartbeats;
 * then the log may forget. Needs the log and the archive; the job store only spreads the work.
 * Bounded steps, for archiver-service.ts to take; everything that is true lies in the archive, so a restart only reads.
 */
import type { HeartbeatPartition } from '../core/archive/manifest.ts'
import type { Config } from '../core/config/config.ts'
import type { TopicPartition } from '../core/ports/event-log.ts'
import { isHooktrailError } from '../core/error/hooktrail-error.ts'
import { AnchorWriter } from './anchor-writer.ts'
import type { ArchiverContext } from './archiver-context.ts'
import { archiverStatus, type ArchiverStatus } from './archiver-status.ts'
import { Assignment } from './assignment.ts'
import { Deference } from './deference.ts'
import { cutStep } from './cut-log.ts'
import { HoldKeeper } from './hold-keeper.ts'
import { KeyKeeper } from './key-keeper.ts'
import { HeartbeatChain } from './heartbeat-chain.ts'
import { HeartbeatWriter } from './heartbeat-writer.ts'
import { KeptSegments } from './kept-segments.ts'
import { LogTopics } from './log-topics.ts'
import { PartitionSet } from './partition-set.ts'
import { RunningRoots } from './running-roots.ts'
import { TileWriter } from './tile-writer.ts'
import { Upkeep, type ProtectedContext } from './upkeep.ts'
import { haltsPartition } from './writer-fault.ts'
import { messageOf } from '../core/error/message-of.ts'

/** The parts of the configuration that are used here. */
export type ArchiverConfig = Pick<Config, 'archive' | 'log'>

export class Archiver {
  readonly #config: ArchiverConfig
  readonly #context: ArchiverContext
  readonly #chain: HeartbeatChain
  readonly #heartbeats: HeartbeatWriter
  readonly #assignment: Assignment
  readonly #partitions: PartitionSet
  readonly #deference: Deference
  readonly #upkeep: Upkeep
  readonly #holds: HoldKeeper
  readonly #kept = new KeptSegments()
  readonly #keys: KeyKeeper
  readonly #tiles: TileWriter
  readonly #anchors: AnchorWriter
  readonly #running: RunningRoots
  readonly #topics: LogTopics
  #isRemembered = false
  #chainFault: string | null = null

  constructor(config: ArchiverConfig, context: ProtectedContext, genesisSha256: string) {
    this.#config = config
    this.#context = context
    this.#chain = new HeartbeatChain(context, genesisSha256)
    this.#anchors = new AnchorWriter(context, this.#chain)
    this.#keys = new KeyKeeper(context)
    this.#tiles = new TileWriter(context, this.#chain)
    this.#assignment = new Assignment(context)
    this.#upkeep = new Upkeep(context)
    this.#holds = new HoldKeeper(context)
    this.#partitions = new PartitionSet(context, this.#chain)
    this.#topics = new LogTopics({
      ...{ context, chain: this.#chain, topicPrefix: config.log.topicPrefix },
      writers: () => this.#partitions.statuses(),
    })
    this.#running = new RunningRoots(context, this.#partitions)
    const isDoubted = (at: TopicPartition): boolean => this.#partitions.isDoubted(at)
    const sources = { anchors: this.#anchors, running: this.#running, isDoubted }
    this.#heartbeats = new HeartbeatWriter(context, this.#chain, sources)
    const rollAgeMs = config.archive.roll.ageMsMax
    this.#deference = new Deference({ clock: context.clock, demand: context.demand, rollAgeMs })
  }

  /** @param waitsFor what its steps are waiting for, if whoever takes them knows */
  status(waitsFor: string | null = null): ArchiverStatus {
    return archiverStatus(this.#context, {
      logTopics: this.#topics.known,
      newest: this.#chain.newest,
      writers: this.#partitions.statuses(),
      chainFault: this.#chainFault,
      waitsFor,
    })
  }

  /** Of every partition, what the newest heartbeat says. */
  signed(): readonly HeartbeatPartition[] {
    return this.#chain.partitions()
  }

  /** @throws STORE_ARCHIVE_MISMATCH; a store that is down is asked again later */
  async rememberArchive(): Promise<void> {
    const { store, archiveId, logger } = this.#context
    if (store === null || this.#isRemembered) return
    try {
      await store.rememberArchive(archiveId)
      this.#isRemembered = true
    } catch (error) {
      if (!isHooktrailError(error) || error.code === 'STORE_ARCHIVE_MISMATCH') throw error
      logger.warn({ error: messageOf(error) }, 'the job store does not know this archive yet')
    }
  }

  /** Assigns and gives every partition its turn. @returns true when there is more to do at once. */
  async archiveStep(signal: AbortSignal): Promise<boolean> {
    if (this.#chain.newest === null) await this.#chain.catchUp()
    // Without the key in force nothing can be committed: another archiver gets the partitions.
    this.#context.keys.signer()
    await this.#topics.lookBack(() => this.#partitions.flush())
    const topics = await this.#topics.fresh()
    const held = await this.#assignment.step(topics.map(({ name }) => name))
    // What is buffered of a topic that is gone is committed here, before its chain is closed with a loss.
    await this.#partitions.assign(topics, held)
    await this.#topics.closeReplaced()
    if (this.#deference.defers) return false
    const hasMore = await this.#partitions.step(signal)
    if (!hasMore) this.#deference.caughtUp()
    return hasMore
  }

  async heartbeatStep(isLast = false): Promise<'signed' | 'lost' | 'not-due'> {
    if (!this.#topics.isKnown) return 'not-due'
    const topics = await this.#topics.ifAnswered()
    return this.#heartbeats.step(topics, isLast)
  }

  async cutStep(): Promise<number> {
    await this.rememberArchive()
    const { retentionMs } = this.#config.log
    const topics = await this.#topics.ifAnswered()
    if (topics === null) return 0
    const halted = this.#partitions.halted()
    return cutStep(this.#context, { topics, chain: this.#chain, retentionMs, halted, kept: this.#kept })
  }

  /** Once a day the lock is probed again, and what leads to the whole archive is locked on; holds are followed. @returns true when there is more to do at once */
  async protectStep(): Promise<boolean> {
    await this.#upkeep.step()
    return this.#holds.step()
  }

  /** Tells the others of its open segments. */
  async runningStep(): Promise<boolean> {
    return this.#running.post()
  }

  /** Looks for a key that is to replace the one in force, and for what other archivers brought into force. */
  async keyStep(): Promise<void> {
    await this.#keys.step()
  }

  /** What is made of heartbeats after they are signed: late is no loss. */
  async derivedStep(signal: AbortSignal): Promise<void> {
    if (this.#chain.newest === null) return
    await this.#tiles.step()
    await this.#anchors.step(signal)
  }

  /** Of a step: where the chain in the store contradicts itself nothing is signed at the end. */
  noteFault(error: unknown): void {
    if (haltsPartition(error)) this.#chainFault = messageOf(error)
  }

  /** Of what came since the last step: behind an end it would wait for the next start. @returns as archiveStep */
  async readRest(signal: AbortSignal): Promise<boolean> {
    return this.#partitions.step(signal)
  }

  /** Commits what is buffered and signs it. */
  async finish(): Promise<void> {
    await this.#partitions.flush()
    if (this.#chainFault === null) await this.heartbeatStep(true)
    await this.#partitions.dispose()
    await this.#assignment.release()
  }
}
