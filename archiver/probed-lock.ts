/**
 * The store's lock as this process knows it: what the last probe found, and locks and holds that are added to objects
 * which lack them. A probe that cannot run leaves the last result; where there is none, nothing is proven.
 */
import { covers, longestOf } from '../core/archive/retention.ts'
import { PROBE_REMEDIES } from '../core/archive/probe-remedies.ts'
import { PROBE_CHECKS, resultOf, type ProbeCheck, type ProbeVerdict } from '../core/archive/worm.ts'
import { messageOf } from '../core/error/message-of.ts'
import { HooktrailError, isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { LockingArchive, ObjectLock, ProbeReport } from '../core/ports/archive-store.ts'
import { isoTime, type OpeningContext } from './archiver-context.ts'
import type { WormDeps } from './protecting.ts'

const PROBE_EVERY_MS = 86_400_000

export interface ProbeResult {
  readonly result: ProbeVerdict
  readonly checkedAt: string
  readonly checks: Readonly<Record<string, ProbeVerdict>>
}

export interface WantedProtection {
  readonly lock: ObjectLock
  readonly isHeld: boolean
}

export interface FoundProtection {
  readonly lock: ObjectLock | null
  /** True when the store states what was wanted. */
  readonly isWhole: boolean
}

export class ProbedLock {
  readonly store: LockingArchive
  readonly #context: OpeningContext
  readonly #worm: WormDeps
  #result: ProbeResult
  #probedAt = -Infinity

  constructor(context: OpeningContext, worm: WormDeps) {
    this.#context = context
    this.#worm = worm
    this.store = worm.store
    this.#result = { result: 'unproven', checkedAt: isoTime(context.clock.now()), checks: {} }
  }

  get result(): ProbeResult {
    return this.#result
  }

  /** At the start: where worm is required nothing is written before the lock is shown. @throws ARCHIVE_WORM_NOT_IN_FORCE */
  async begin(): Promise<void> {
    const report = await this.#probe()
    if (this.#result.result === 'pass' || this.#worm.mode !== 'required') return
    throw new HooktrailError('ARCHIVE_WORM_NOT_IN_FORCE', { ...refusalOf(report), to_do: remediesOf(report) })
  }

  /** Once a day. What it finds is signed by the next heartbeat; archiving goes on, since events are safer there than not. */
  async probeIfDue(): Promise<void> {
    if (this.#context.clock.monotonic() - this.#probedAt < PROBE_EVERY_MS) return
    const before = this.#result.result
    const report = await this.#probe()
    if (this.#result.result === 'pass' || this.#result.result === before) return
    this.#context.logger.error(refusalOf(report), 'the deletion lock of the archive is no longer in force')
  }

  /** Adds what is missing. @throws ARCHIVE_LOCK_MISSING where worm is required and the store does not take it */
  async ensure(key: string, wanted: WantedProtection): Promise<FoundProtection> {
    const found = await this.#read(key)
    if (isWhole(found, wanted)) return { lock: lockIn(found), isWhole: true }
    try {
      if (!covers(lockIn(found), wanted.lock))
        await this.store.extendLock(key, longer(lockIn(found), wanted.lock))
      if (wanted.isHeld && found.isHeld !== true) await this.store.setHold(key, true)
    } catch (error) {
      if (!isHooktrailError(error)) throw error
      this.#refuse(key, messageOf(error), error)
    }
    const after = await this.#read(key)
    if (!isWhole(after, wanted)) this.#refuse(key, 'the store does not state it', null)
    return { lock: lockIn(after), isWhole: isWhole(after, wanted) }
  }

  async #read(key: string): Promise<{ lock: ObjectLock | null | 'unknown'; isHeld: boolean | 'unknown' }> {
    const found = await this.store.protectionOf(key)
    if (found === null) throw new HooktrailError('ARCHIVE_STORE_UNAVAILABLE', { key, reason: 'it vanished' })
    return found
  }

  /** Where it is only preferred the manifest says that it is not verified. */
  #refuse(key: string, reason: string, cause: unknown): void {
    if (this.#worm.mode === 'required')
      throw new HooktrailError('ARCHIVE_LOCK_MISSING', { key, reason }, cause)
    this.#context.logger.warn({ key, reason }, 'an object of the archive is not locked')
  }

  async #probe(): Promise<ProbeReport> {
    const { clock, metrics } = this.#context
    const report = await this.#worm.probe.run(longestOf(this.#worm.terms).mode)
    const checks = Object.fromEntries(PROBE_CHECKS.map((check) => [check, report.checks[check].verdict]))
    this.#result = { result: resultOf(checks), checkedAt: isoTime(clock.now()), checks }
    this.#probedAt = clock.monotonic()
    metrics.set('worm_state', {}, STATES[this.#result.result])
    return report
  }
}

const STATES: Readonly<Record<ProbeVerdict, number>> = { pass: 1, unproven: 0.5, fail: 0 }

type Read = Awaited<ReturnType<LockingArchive['protectionOf']>> & object

function isWhole(found: Read, { lock, isHeld }: WantedProtection): boolean {
  return covers(lockIn(found), lock) && (!isHeld || found.isHeld === true)
}

function lockIn({ lock }: Read): ObjectLock | null {
  return lock === 'unknown' ? null : lock
}

/** A lock may become stricter and longer, never the other way. */
function longer(found: ObjectLock | null, wanted: ObjectLock): ObjectLock {
  return {
    mode: found?.mode === 'compliance' ? 'compliance' : wanted.mode,
    untilMs: Math.max(found?.untilMs ?? 0, wanted.untilMs),
  }
}

/** The checks that did not pass, each with what the store told. */
function refusalOf(report: ProbeReport): Readonly<Record<string, string>> {
  return Object.fromEntries(
    notPassed(report).map((check) => {
      const { verdict, told } = report.checks[check]
      return [check, `${verdict}: ${told}`]
    }),
  )
}

function remediesOf(report: ProbeReport): string {
  const remedies = new Set(notPassed(report).map((check) => PROBE_REMEDIES[check]))
  return `${[...remedies].join('; ')}; then see hooktrail archive probe`
}

function notPassed({ checks }: ProbeReport): readonly ProbeCheck[] {
  return PROBE_CHECKS.filter((check) => checks[check].verdict !== 'pass')
}
