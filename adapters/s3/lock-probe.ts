/**
 * Attacks the store's deletion lock with objects of its own below `probe/`. A refusal proves a lock only where the same
 * request is taken for what is not locked: without that positive control a missing right looks like a lock. What the probe
 * leaves is locked for hours at most and swept by a later one.
 */
import { randomUUID } from 'node:crypto'
import { PROBE_PREFIX } from '../../core/archive/keys.ts'
import type { ProbeVerdict } from '../../core/archive/worm.ts'
import type { LockProbe, ObjectLock, ProbeFinding, ProbeReport } from '../../core/ports/archive-store.ts'
import type { S3Credentials, S3StoreOptions } from './open-client.ts'
import { contextOf } from './open-context.ts'
import { ProbeObjects, type Attempt } from './probe-objects.ts'

const LOCK_MS = 3_600_000
const EXTENDED_MS = 2 * LOCK_MS
const SHORTENED_MS = LOCK_MS / 2
const CREATORS = 8

export interface S3LockProbe extends LockProbe, AsyncDisposable {}

/** @param credentials of who may delete below probe/; null: those of the archive */
export function openLockProbe(options: S3StoreOptions, credentials: S3Credentials | null): S3LockProbe {
  const context = contextOf(credentials === null ? options : { ...options, credentials })
  return {
    run: (mode) => new Run(new ProbeObjects(context, `${PROBE_PREFIX}${randomUUID()}/`), mode).all(),
    [Symbol.asyncDispose]: () => {
      context.givenUp.abort()
      context.client.destroy()
      return Promise.resolve()
    },
  }
}

/** In this order, since what is shown first says what a later refusal means. */
class Run {
  readonly #objects: ProbeObjects
  readonly #mode: ObjectLock['mode']

  constructor(objects: ProbeObjects, mode: ObjectLock['mode']) {
    this.#objects = objects
    this.#mode = mode
  }

  async all(): Promise<ProbeReport> {
    await this.#objects.sweep()
    const { versioning, control } = await this.#unlocked()
    const locked = await this.#objects.create('locked', { lock: this.#lock(LOCK_MS) })
    const lockStated = await this.#stated(locked)
    const deleteLocked = await this.#deleteOf(locked, control)
    const extend = await this.#extend(locked)
    const checks = {
      ...{ versioning, control, extend },
      'lock-stated': lockStated,
      'delete-locked': deleteLocked,
      shorten: await this.#weaken(locked, extend, this.#lock(SHORTENED_MS)),
      downgrade: await this.#weaken(
        locked,
        extend,
        this.#mode === 'compliance' ? { ...this.#lock(EXTENDED_MS), mode: 'governance' } : null,
      ),
      hold: await this.#hold(control),
      ...(await this.#creates()),
    }
    await this.#objects.removeUnlocked()
    return { checks }
  }

  async #unlocked(): Promise<{ versioning: ProbeFinding; control: ProbeFinding }> {
    const unlocked = await this.#objects.create('unlocked', {})
    if (unlocked.kind === 'refused') {
      const finding = verdict('unproven', unlocked.told)
      return { versioning: finding, control: finding }
    }
    const versioning =
      unlocked.versionId === null
        ? verdict('fail', 'a new object has no version id')
        : verdict('pass', 'each object has a version id')
    const deleted = await this.#objects.remove(unlocked)
    const lock = await this.#objects.protectionOf(unlocked)
    if (deleted.kind === 'done' && lock === null)
      return { versioning, control: verdict('pass', 'a version that is not locked can be deleted') }
    const why =
      lock !== null && lock.lock !== null ? 'the bucket locks by default what is not to be locked' : ''
    const told = [deleted.kind === 'refused' ? deleted.told : 'it is still there', why]
    return { versioning, control: verdict('unproven', told.filter((part) => part !== '').join('; ')) }
  }

  async #stated(locked: Attempt): Promise<ProbeFinding> {
    if (locked.kind === 'refused') return verdict('fail', locked.told)
    const found = await this.#objects.protectionOf(locked)
    if (found === null) return verdict('fail', 'the object is not there')
    if (found.lock === 'unknown') return verdict('unproven', 'these credentials may not ask for locks')
    const { lock } = found
    if (lock?.mode !== this.#mode || lock.untilMs < this.#objects.nowMs)
      return verdict('fail', 'it states no lock')
    return verdict('pass', `${lock.mode} until ${new Date(lock.untilMs).toISOString()}`)
  }

  async #deleteOf(object: Attempt, control: ProbeFinding): Promise<ProbeFinding> {
    if (object.kind === 'refused') return verdict('fail', object.told)
    const deleted = await this.#objects.remove(object)
    if ((await this.#objects.protectionOf(object)) === null) return verdict('fail', 'it was deleted')
    const told = deleted.kind === 'refused' ? deleted.told : 'it stays, though the store says otherwise'
    return control.verdict === 'pass'
      ? verdict('pass', told)
      : verdict('unproven', `${told}; so is what is not locked`)
  }

  async #extend(locked: Attempt): Promise<ProbeFinding> {
    if (locked.kind === 'refused') return verdict('fail', locked.told)
    const extended = await this.#objects.retain(locked, this.#lock(EXTENDED_MS))
    return extended.kind === 'done'
      ? verdict('pass', 'a lock can be extended')
      : verdict('unproven', extended.told)
  }

  /** @param lock null: none at all */
  async #weaken(locked: Attempt, extend: ProbeFinding, lock: ObjectLock | null): Promise<ProbeFinding> {
    if (locked.kind === 'refused') return verdict('fail', locked.told)
    const changed = await this.#objects.retain(locked, lock)
    const found = await this.#objects.protectionOf(locked)
    if (found?.lock === 'unknown') return verdict('unproven', 'these credentials may not ask for locks')
    const isWeaker =
      found?.lock?.mode !== this.#mode ||
      found.lock.untilMs < this.#objects.nowMs + LOCK_MS - SHORTENED_MS / 2
    if (isWeaker) return verdict('fail', 'the lock was weakened')
    const told = changed.kind === 'refused' ? changed.told : 'it stays, though the store says otherwise'
    return extend.verdict === 'pass'
      ? verdict('pass', told)
      : verdict('unproven', `${told}; so is a longer lock`)
  }

  async #hold(control: ProbeFinding): Promise<ProbeFinding> {
    const held = await this.#objects.create('held', { isHeld: true })
    if (held.kind === 'refused') return verdict(held.isDenied ? 'unproven' : 'fail', held.told)
    const finding = await this.#deleteOf(held, control)
    await this.#objects.release(held)
    return finding
  }

  async #creates(): Promise<Pick<ProbeReport['checks'], 'create-once' | 'create-race' | 'checksum'>> {
    const first = await this.#objects.create('once', {})
    const second = await this.#objects.create('once', {})
    const race = await Promise.all(Array.from({ length: CREATORS }, () => this.#objects.create('race', {})))
    const winners = race.filter(({ kind }) => kind === 'done').length
    const wrong = await this.#objects.create('checksum', { isWrong: true })
    return {
      'create-once':
        first.kind === 'refused'
          ? verdict('unproven', first.told)
          : refused(second, 'an object was written over another'),
      'create-race': verdict(
        winners === 1 ? 'pass' : winners === 0 ? 'unproven' : 'fail',
        `${winners} of ${CREATORS} creators of one key at once`,
      ),
      checksum: refused(wrong, 'other bytes than announced were taken'),
    }
  }

  #lock(ms: number): ObjectLock {
    return { mode: this.#mode, untilMs: Math.ceil((this.#objects.nowMs + ms) / 1000) * 1000 }
  }
}

function refused(attempt: Attempt, otherwise: string): ProbeFinding {
  return attempt.kind === 'refused' ? verdict('pass', attempt.told) : verdict('fail', otherwise)
}

function verdict(is: ProbeVerdict, told: string): ProbeFinding {
  return { verdict: is, told }
}
