/** Port: which store this is, what it remembers of the archive, and its slices, a group of the job store. */

export interface StoreIdentity {
  readonly storeId: string
  readonly incarnation: number
  readonly state: 'ok' | 'recovering'
  readonly archiveId: string | null
}

export interface RememberedHeartbeat {
  readonly n: bigint
  /** SHA-256 of its note, lower-case hex. */
  readonly sha256: string
}

export interface MaintenanceStore {
  /** Reads the identity; on first use writes the digest key's fingerprint, later refuses another. @throws STORE_DIGEST_KEY_MISMATCH */
  identify(digestKeyFingerprint: string): Promise<StoreIdentity>
  /** Remembers the archive id once; @throws STORE_ARCHIVE_MISMATCH when another one is remembered. */
  rememberArchive(archiveId: string): Promise<void>
  /** The newest heartbeat of the archive that anybody remembered. */
  rememberedHeartbeat(): Promise<RememberedHeartbeat | null>
  /** Moves forward only: an older one changes nothing. */
  rememberHeartbeat(heartbeat: RememberedHeartbeat): Promise<void>
  /**
   * Makes slices ahead and drops old ones that are relayed, under an advisory lock; attempts stay while a job of theirs
   * is open or dead. Forgets keys that were seen first more than `firstSeenMs` ago; null: none now, somebody who is
   * behind may still ask for them. Returns names of slices dropped.
   */
  maintainSlices(retention: {
    doneHours: number
    deadHours: number
    firstSeenMs: number | null
  }): Promise<readonly string[]>
}
