/**
 * An archiver that lives as often as it must: it is started, takes all its steps in turns, and where it died or an error
 * stopped it begins again, as the loops of a process and whoever starts processes would have it.
 */
import assert from 'node:assert/strict'
import type { ArchiverDeps } from '../../archiver/archiver-context.ts'
import type { Archiver, ArchiverConfig } from '../../archiver/archiver.ts'
import { createArchiver } from '../../archiver/create-archiver.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { HandClock } from './hand-clock.ts'
import { MortalProcess, type FaultPlan } from './mortal-process.ts'

/** More than any plan kills or fails in one turn. */
const TRIES_MAX = 100
const STEPS_MAX = 200
/** Longer than a partition or a loop waits after a failure. */
const PATIENCE_MS = 60_000

export interface LifeOptions {
  readonly config: ArchiverConfig
  readonly deps: ArchiverDeps
  readonly clock: HandClock
  readonly plan: FaultPlan
}

export class ArchiverLife {
  readonly #options: LifeOptions
  #process: MortalProcess
  #archiver: Archiver | null = null
  /** What stopped it last, for who waits in vain. */
  #error: unknown = null

  constructor(options: LifeOptions) {
    this.#options = options
    this.#process = new MortalProcess(options.plan)
  }

  /** Every loop until it has nothing to do at this time. */
  turn(): Promise<void> {
    return this.#try(async (archiver) => {
      const { signal } = new AbortController()
      await archiver.keyStep()
      await repeat(() => archiver.archiveStep(signal))
      await archiver.runningStep()
      await archiver.heartbeatStep()
      await repeat(() => archiver.protectStep())
      await archiver.derivedStep(signal)
      await archiver.cutStep()
      return this.#isCaughtUp(archiver)
    })
  }

  /** Commits and signs what it has, as at the end of a process; where it dies at that, the next one comes as far again. */
  finish(): Promise<void> {
    return this.#try(async (archiver) => {
      const { signal } = new AbortController()
      await repeat(() => archiver.archiveStep(signal))
      await archiver.finish()
      return true
    })
  }

  /** What it does next is done by another process. */
  kill(): void {
    this.#process.die()
  }

  /** Nothing waits in the log but what is too little for a segment. */
  #isCaughtUp(archiver: Archiver): boolean {
    const { lagRecords, halted, waitsFor } = archiver.status()
    assert.deepEqual(halted, [])
    return (
      waitsFor === null &&
      lagRecords !== null &&
      lagRecords < BigInt(this.#options.config.archive.roll.recordsMax)
    )
  }

  async #try(live: (archiver: Archiver) => Promise<boolean>): Promise<void> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      if (await this.#survives(live)) return
      this.#options.clock.advance(PATIENCE_MS)
    }
    throw new Error('the archiver never comes through', { cause: this.#error })
  }

  /** @returns false where it died, an error stopped the step, or a partition waits */
  async #survives(live: (archiver: Archiver) => Promise<boolean>): Promise<boolean> {
    const { config, deps, plan } = this.#options
    if (this.#process.isDead) {
      this.#process = new MortalProcess(plan)
      this.#archiver = null
    }
    try {
      this.#archiver ??= await createArchiver(config, this.#process.portsOf(deps))
      const isDone = await live(this.#archiver)
      return isDone && !this.#process.isDead
    } catch (error) {
      if (!this.#process.isDead && !isHooktrailError(error)) throw error
      this.#error = error
      return false
    }
  }
}

async function repeat(step: () => Promise<boolean>): Promise<void> {
  for (let steps = 0; await step(); steps++) assert.ok(steps < STEPS_MAX, 'it comes to rest')
}
