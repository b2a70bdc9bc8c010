/** What every pass of one verification shares. Memory grows with partitions, never with objects. */
import type { ReadableArchive } from '../../ports/archive-store.ts'
import type { NoteVerifier } from '../signed-note.ts'
import type { Findings } from './finding.ts'
import type { LockCheck } from './lock-check.ts'
import type { Agreements } from './agreements.ts'
import type { KeyCheck } from './key-check.ts'

/** 0: chain, signatures, heartbeats · 1: and every object present with its SHA-256 · 2: and every row and root. */
export type VerifyLevel = 0 | 1 | 2

export interface VerifyCounts {
  heartbeats: number
  manifests: number
  /** Manifests that no heartbeat names yet. */
  unwitnessed: number
  records: bigint
  objects: number
  bytes: bigint
}

export interface VerifyProgress {
  /** Of data objects, read so far. */
  readonly bytes: bigint
  /** Of all data objects that heartbeats name; null before they were read. */
  readonly bytesTotal: bigint | null
}

export interface VerifyContext {
  readonly store: ReadableArchive
  /** Of the archive, oldest first. */
  readonly keys: readonly NoteVerifier[]
  readonly keyCheck: KeyCheck
  readonly archiveId: string
  readonly level: VerifyLevel
  readonly findings: Findings
  /** The verifier's clock. */
  readonly nowMs: number
  readonly agreements: Agreements
  readonly locks: LockCheck
  readonly counts: VerifyCounts
  readonly signal: AbortSignal
  readonly onProgress: (progress: VerifyProgress) => void
}

/** Before the notes about what is kept were read. */
export type Reading = Omit<VerifyContext, 'agreements' | 'locks'>
