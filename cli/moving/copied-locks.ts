/**
 * Locks and holds of an archive that is copied: what the old place states is carried over, since manifests sign it, and
 * what the new configuration asks for is added. It is for buckets: a folder takes neither.
 */
import { lockOf, type RetentionTerms } from '../../core/archive/retention.ts'
import type { LockingArchive, NewObject, ObjectLock } from '../../core/ports/archive-store.ts'

export interface LockCopy {
  readonly from: Partial<Pick<LockingArchive, 'protectionOf'>>
  /** Of the new configuration; null: nothing is added. */
  readonly terms: RetentionTerms | null
  readonly nowMs: number
}

export function copiedLocks({
  from,
  terms,
  nowMs,
}: LockCopy): (key: string) => Promise<Pick<NewObject, 'lock' | 'isHeld'>> {
  return async (key) => {
    const found = (await from.protectionOf?.(key)) ?? null
    const wanted = terms && lockOf(terms, key, nowMs)
    const lock = stricter(found === null || found.lock === 'unknown' ? null : found.lock, wanted)
    // A lock that has run out is refused by the store.
    return {
      ...(lock === null || lock.untilMs <= nowMs ? {} : { lock }),
      ...(found?.isHeld === true ? { isHeld: true } : {}),
    }
  }
}

function stricter(a: ObjectLock | null, b: ObjectLock | null): ObjectLock | null {
  if (a === null || b === null) return a ?? b
  const mode = a.mode === 'compliance' || b.mode === 'compliance' ? 'compliance' : 'governance'
  return { mode, untilMs: Math.max(a.untilMs, b.untilMs) }
}
