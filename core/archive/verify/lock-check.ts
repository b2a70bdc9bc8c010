/**
 * What the store says of locks and holds, against what is signed. Only a bucket can say it: of a copy, and for whom may not
 * ask, they are not witnessed, which is a note and not a fault. A lock that has run out protects nothing any more.
 */
import { isHooktrailError } from '../../error/hooktrail-error.ts'
import type { LockingArchive, ObjectLock, ObjectProtection } from '../../ports/archive-store.ts'
import { covers } from '../retention.ts'
import type { Findings } from './finding.ts'

export interface WantedLock {
  readonly lock: ObjectLock | null
  readonly isHeld: boolean
}

export interface LockCheckOptions {
  /** Null: a store without locks, or a copy. */
  readonly store: Pick<LockingArchive, 'protectionOf'> | null
  readonly findings: Findings
  readonly nowMs: number
}

export class LockCheck {
  readonly #options: LockCheckOptions

  constructor(options: LockCheckOptions) {
    this.#options = options
  }

  /** @param claims whether the archive says of itself that it is locked */
  noteCopy(claims: boolean): void {
    if (claims && this.#options.store === null)
      this.#notWitnessed('a copy keeps neither locks nor holds: ask the bucket itself')
  }

  async check(key: string, { lock, isHeld }: WantedLock): Promise<void> {
    const { store, findings, nowMs } = this.#options
    const wanted = lock !== null && lock.untilMs > nowMs ? lock : null
    if (wanted === null && !isHeld) return
    if (store === null) return
    const found = await readProtection(store, key)
    if (found === null) return
    if (wanted !== null) this.#checkLock(key, wanted, found.lock)
    if (!isHeld || found.isHeld === true) return
    if (found.isHeld === 'unknown') this.#notWitnessed('these credentials may not ask for legal holds')
    else findings.altered('hold-removed', key, 'it is under a legal hold, and the store does not hold it')
  }

  #checkLock(key: string, wanted: ObjectLock, found: ObjectProtection['lock']): void {
    if (found === 'unknown') this.#notWitnessed('these credentials may not ask for locks')
    else if (!covers(found, wanted)) {
      const text = `it should be locked until ${textOf(wanted)}, and is ${found === null ? 'not locked' : `until ${textOf(found)}`}`
      this.#options.findings.altered('lock-weakened', key, text)
    }
  }

  #notWitnessed(text: string): void {
    this.#options.findings.note('lock-not-witnessed', 'genesis.note', text)
  }
}

/** Null for what is not there, and for what is hidden behind a marker: both are reported elsewhere. */
async function readProtection(
  store: Pick<LockingArchive, 'protectionOf'>,
  key: string,
): Promise<ObjectProtection | null> {
  try {
    return await store.protectionOf(key)
  } catch (error) {
    if (isHooktrailError(error, 'ARCHIVE_DELETE_MARKER')) return null
    throw error
  }
}

function textOf({ mode, untilMs }: ObjectLock): string {
  return `${new Date(untilMs).toISOString()} (${mode})`
}
