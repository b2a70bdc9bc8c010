/** What the archiver's steps need in order to lock what they write, and what it takes to lock at all. */
import type { Manifest } from '../core/archive/manifest.ts'
import type { RetentionTerms } from '../core/archive/retention.ts'
import type { Worm } from '../core/archive/worm.ts'
import type { LockingArchive, LockProbe, NewObject, ObjectHead } from '../core/ports/archive-store.ts'

/** How objects are locked here; absent where they are not. */
export interface WormDeps {
  readonly mode: 'required' | 'preferred'
  readonly terms: RetentionTerms
  readonly store: LockingArchive
  readonly probe: LockProbe
}

/** What a segment covers: what a hold may name. */
export type Covered = Pick<Manifest, 'topic' | 'topic_id' | 'partition' | 'first' | 'last'>

export interface Protecting {
  /** False where nothing is locked: then objects are not asked for their locks. */
  readonly isLocking: boolean
  /** Lock and hold of a new object; nothing where nothing is locked. */
  onCreate(key: string, isHeld: boolean): Pick<NewObject, 'lock' | 'isHeld'>
  /** Reads what holds began since it was asked last. */
  heldNow(covered: Covered): Promise<boolean>
  /**
   * What the store says of the lock of a data object that lies there, after a lock or hold that it lacks was added.
   * @returns the manifest's `retention`; null where nothing is locked
   * @throws ARCHIVE_LOCK_MISSING where worm is required and the store does not lock it
   */
  prove(found: ObjectHead, isHeld: boolean): Promise<Manifest['retention']>
  /** Of a segment without data: what its manifest's own lock is reckoned from. */
  promise(topic: string): Manifest['retention']
  /** For the next heartbeat: on no older view than the store holds. */
  worm(): Promise<'off' | Worm>
}
