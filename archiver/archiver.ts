/**
 * The archiver: every topic of the log goes into the archive, one signed chain a partition, under signed heartbeats;
 * then the log may forget. Needs the log and the archive; the job store only spreads the work.
 * Bounded steps, short loops around them; everything that is true lies in the archive, so a restart only reads.
 */
import { mkdir, rm } from 'node:fs/promises'
import type { HeartbeatPartition } from '../core/archive/manifest.ts'
import type { Config } from '../core/config/config.ts'
import { explanationOf } from '../core/error/explanation-of.ts'
import { isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { Topic } from '../core/ports/event-log.ts'
import type { KeySource } from '../core/ports/signer.ts'
import type { Service } from '../core/service.ts'
import { AnchorWriter } from './anchor-writer.ts'
import type { ArchiverContext, ArchiverDeps, OpeningContext } from './archiver-context.ts'
import { archiverStatus, publishStatus, type ArchiverStatus } from './archiver-status.ts'
import { Assignment } from './assignment.ts'
import { closeChain } from './close-chain.ts'
import { Deference } from './deference.ts'
import { cutStep } from './cut-log.ts'
import { openGenesis } from './genesis.ts'
import { HoldKeeper } from './hold-keeper.ts'
import { KeyKeeper } from './key-keeper.ts'
import { HeartbeatChain } from './heartbeat-chain.ts'
import { HeartbeatWriter } from './heartbeat-writer.ts'
import { PartitionSet } from './partition-set.ts'
import { ProbedLock } from './probed-lock.ts'
import { Protection, type ProtectionOptions } from './protection.ts'
import { RunningRoots } from './running-roots.ts'
import { replaceTravelled } from './replace-travelled.ts'
import { TileWriter } from './tile-writer.ts'
import { Upkeep, type ProtectedContext } from './upkeep.ts'
import { haltsPartition } from './writer-fault.ts'
import { messageOf } from '../core/error/message-of.ts'

const TOPICS_MS = 5_000
const CUT_MS_MAX = 60_000
/** A partition that halts or fails may do so because the log was put back: that is looked at so often. */
const TRAVELLED_MS = 30_000
const LOOK_MS_MAX = 10 * 60_000
const PROTECT_MS = 5_000
/** An idle archiver looks for new records this often; a busy one gathers them this long. */
const POLL_MS_MIN = 1_000
const POLL_MS_MAX = 2_000
const HEARTBEAT_TICK_MS_MAX = 5_000

/** Of a loop. @returns how long it waits then, in milliseconds */
type Step = (signal: AbortSignal) => Promise<number>

/** The parts of the configuration that are used here. */
export type ArchiverConfig = Pick<Config, 'archive' | 'log'>

export interface ArchiverService extends Service {
  status(): ArchiverStatus
}

/** @throws STORE_ARCHIVE_MISMATCH, ARCHIVE_NOTE_INVALID, ARCHIVE_STORE_FULL, ARCHIVE_STORE_UNAVAILABLE */
export async function startArchiver(config: ArchiverConfig, deps: ArchiverDeps): Promise<ArchiverService> {
  return (await createArchiver(config, deps)).start()
}

/** The context of everything behind genesis. */
export function withProtection(opening: OpeningContext, options: ProtectionOptions): ProtectedContext {
  const { archive_id: archiveId, format: genesisFormat } = options.genesis
  const context = { ...opening, archiveId, genesisFormat, keys: options.keys }
  return { ...context, protection: new Protection(context, options) }
}

/** Nothing runs yet: for who takes its steps himself. */
export async function createArchiver(config: ArchiverConfig, deps: ArchiverDeps): Promise<Archiver> {
  const opening = { ...deps, settings: config.archive }
  const probed = deps.worm === undefined ? null : new ProbedLock(opening, deps.worm)
  // Before anything is written: what is not locked from the beginning could be exchanged until it is.
  await probed?.begin()
  const { genesis, sha256, keys } = await openGenesis(opening)
  const context = withProtection(opening, { genesis, genesisSha256: sha256, keys, probed })
  // Before anything is signed: the key to begin with may have been replaced, and its successor be at hand.
  await new KeyKeeper(context, keySourceOf(deps)).step()
  await context.protection.agree()
  await new Upkeep(context).lockRoots()
  // Whatever an earlier process spooled is read again from the log.
  await rm(deps.spoolDirectory, { recursive: true, force: true })
  await mkdir(deps.spoolDirectory, { recursive: true, mode: 0o700 })
  const archiver = new Archiver(config, context, sha256)
  await archiver.rememberArchive()
  return archiver
}

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
  readonly #keys: KeyKeeper
  readonly #tiles: TileWriter
  readonly #anchors: AnchorWriter
  readonly #running: RunningRoots
  readonly #closed = new Set<string>()
  #topics: readonly Topic[] | null = null
  #topicsAt = -Infinity
  #isRemembered = false
  /** Monotonic time of the last look whether the log was put back; the first is at the start. */
  #lookedBackAt = -Infinity
  #chainFault: string | null = null
  /** Of each loop whose last step failed: for what it waits. */
  readonly #waits = new Map<Step, string>()

  constructor(config: ArchiverConfig, context: ProtectedContext, genesisSha256: string) {
    this.#config = config
    this.#context = context
    this.#chain = new HeartbeatChain(context, genesisSha256)
    this.#anchors = new AnchorWriter(context, this.#chain)
    this.#keys = new KeyKeeper(context, keySourceOf(context))
    this.#tiles = new TileWriter(context, this.#chain)
    this.#assignment = new Assignment(context)
    this.#upkeep = new Upkeep(context)
    this.#holds = new HoldKeeper(context)
    this.#partitions = new PartitionSet(context, this.#chain)
    this.#running = new RunningRoots(context, this.#partitions)
    const sources = { anchors: this.#anchors, running: this.#running }
    this.#heartbeats = new HeartbeatWriter(context, this.#chain, sources)
    const rollAgeMs = config.archive.roll.ageMsMax
    this.#deference = new Deference({ clock: context.clock, demand: context.demand, rollAgeMs })
  }

  status(): ArchiverStatus {
    return archiverStatus(this.#context, {
      logTopics: this.#topics,
      newest: this.#chain.newest,
      writers: this.#partitions.statuses(),
      chainFault: this.#chainFault,
      waitsFor: this.#waits.values().next().value ?? null,
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
    const topics = await this.#freshTopics()
    const held = await this.#assignment.step(topics.map(({ name }) => name))
    await this.#partitions.assign(topics, held)
    if (this.#deference.defers) return false
    const hasMore = await this.#partitions.step(signal)
    if (!hasMore) this.#deference.caughtUp()
    return hasMore
  }

  async heartbeatStep(isLast = false): Promise<'signed' | 'lost' | 'not-due'> {
    const topics = await this.#topicsIfKnown()
    return this.#heartbeats.step(topics, isLast)
  }

  async cutStep(): Promise<number> {
    await this.rememberArchive()
    const { retentionMs } = this.#config.log
    const topics = await this.#freshTopics()
    const halted = this.#partitions.halted()
    return cutStep(this.#context, { topics, chain: this.#chain, retentionMs, halted })
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

  /** Commits what is buffered and signs it. */
  async finish(): Promise<void> {
    await this.#partitions.flush()
    if (this.#chainFault === null) await this.heartbeatStep(true)
    await this.#partitions.dispose()
    await this.#assignment.release()
  }

  start(): ArchiverService {
    const stopping = new AbortController()
    const { signal } = stopping
    const heartbeatTickMs = Math.min(HEARTBEAT_TICK_MS_MAX, Math.max(1, this.#config.archive.heartbeatMs / 4))
    const loops = [
      this.#run(signal, this.#archiveTick()),
      this.#run(signal, async () => {
        await this.heartbeatStep()
        return heartbeatTickMs
      }),
      this.#run(signal, async () => {
        await this.runningStep()
        return this.#config.archive.runningRootMs
      }),
      this.#run(signal, async () => {
        await this.keyStep()
        return PROTECT_MS
      }),
      this.#run(signal, async () => {
        return (await this.protectStep()) ? 0 : PROTECT_MS
      }),
      this.#run(signal, async () => {
        await this.derivedStep(signal)
        return heartbeatTickMs
      }),
      this.#run(signal, async () => {
        await this.cutStep()
        return Math.min(CUT_MS_MAX, this.#config.log.retentionMs)
      }),
    ]
    const done = Promise.all(
      loops.map((loop) =>
        loop.catch((error: unknown) => {
          stopping.abort()
          throw error
        }),
      ),
    )
      .finally(() => this.#finishQuietly())
      .then(() => undefined)
    const stop = async (): Promise<void> => {
      stopping.abort()
      await done
    }
    return {
      done,
      stop,
      status: () => this.status(),
      waitingFor: () => this.status().waitsFor,
      [Symbol.asyncDispose]: stop,
    }
  }

  #archiveTick(): (signal: AbortSignal) => Promise<number> {
    let pollMs = POLL_MS_MIN
    let lag: bigint | null = null
    return async (signal) => {
      const hasMore = await this.archiveStep(signal)
      const status = this.status()
      publishStatus(this.#context, status)
      pollMs = status.lagRecords === lag ? Math.min(POLL_MS_MAX, pollMs * 2) : POLL_MS_MIN
      lag = status.lagRecords
      return hasMore ? 0 : pollMs
    }
  }

  /** Operational errors are waited out; anything else ends the service. */
  async #run(signal: AbortSignal, step: Step): Promise<void> {
    const { clock, logger } = this.#context
    let failures = 0
    while (!signal.aborted) {
      let waitMs: number
      try {
        waitMs = await step(signal)
        failures = 0
        this.#waits.delete(step)
      } catch (error) {
        if (!isHooktrailError(error) || error.code === 'STORE_ARCHIVE_MISMATCH') throw error
        failures += 1
        waitMs = Math.min(30_000, 500 * 2 ** Math.min(failures, 6))
        this.#waits.set(step, explanationOf(error))
        this.#noteFailure(error, failures)
      }
      if (waitMs > 0) await clock.sleep(waitMs, signal)
    }
    logger.debug({}, 'an archiver loop ended')
  }

  #noteFailure(error: unknown, failures: number): void {
    const fields = { error: messageOf(error), details: isHooktrailError(error) ? error.details : {} }
    if (haltsPartition(error)) this.#chainFault = messageOf(error)
    if (failures === 1) this.#context.logger.error(fields, 'the archiver waits and tries again')
  }

  async #finishQuietly(): Promise<void> {
    try {
      await this.finish()
    } catch (error) {
      this.#context.logger.warn(
        { error: messageOf(error) },
        'the last segments stay in the log until the next start',
      )
    }
  }

  async #topicsIfKnown(): Promise<readonly Topic[] | null> {
    try {
      return await this.#freshTopics()
    } catch (error) {
      if (!isHooktrailError(error)) throw error
      return null
    }
  }

  async #freshTopics(): Promise<readonly Topic[]> {
    const now = this.#context.clock.monotonic()
    if (this.#topics !== null && now - this.#topicsAt < TOPICS_MS) return this.#topics
    await this.#replaceTravelled(now)
    this.#topics = await this.#context.log.topics()
    this.#topicsAt = now
    await this.#closeReplaced(this.#topics)
    return this.#topics
  }

  async #replaceTravelled(now: number): Promise<void> {
    const { replaceableLog: log, store } = this.#context
    if (log === undefined || store === null) return
    const isDoubtful = this.#partitions
      .statuses()
      .some((each) => each.haltedBy !== null || each.retryingBecause !== null)
    const isFirst = this.#lookedBackAt === -Infinity
    if (!isFirst && (!isDoubtful || now - this.#lookedBackAt < TRAVELLED_MS)) return
    const travelled = { context: this.#context, chain: this.#chain, log, store }
    const { topicPrefix } = this.#config.log
    await replaceTravelled({ ...travelled, topicPrefix }, AbortSignal.timeout(LOOK_MS_MAX))
    this.#lookedBackAt = now
  }

  /** Chains whose topic now has another id. A topic that is merely absent is left alone: the wrong database has none. */
  async #closeReplaced(topics: readonly Topic[]): Promise<void> {
    const ids = new Map(topics.map(({ name, id }) => [name, id]))
    for (const row of this.#chain.partitions()) {
      const key = `${row.topic}/${row.topic_id}/${row.partition}`
      const id = ids.get(row.topic)
      if (id === undefined || id === row.topic_id || this.#closed.has(key)) continue
      await closeChain(this.#context, row)
      this.#closed.add(key)
    }
  }
}

function keySourceOf({ keySource, signer }: ArchiverDeps): KeySource {
  return (
    keySource ?? {
      read: () => Promise.resolve([{ signer, delegations: [] }]),
      promote: () => Promise.resolve(),
    }
  )
}
