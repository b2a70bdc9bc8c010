/**
 * Port: immutable objects under string keys. Truth of the long memory.
 * Adapters: adapters/directory (`worm: off`), adapters/s3.
 *
 * Duties: `create` is one atomic compare-and-swap on the key: of any number of concurrent calls exactly one returns
 * 'created', the object then has all its bytes, survives kill -9 and loss of power, and is never overwritten.
 * A rejection means "unknown": the caller reads and adopts (archive §5). A created object is visible to every later
 * read and listing of any process. A key is never the folder of another key.
 */
import type { ProbeCheck, ProbeVerdict } from '../archive/worm.ts'

export interface ObjectLock {
  readonly mode: 'governance' | 'compliance'
  /** Milliseconds since the epoch. */
  readonly untilMs: number
}

export interface NewObject {
  readonly key: string
  /** All bytes, or a file of which `size` bytes from its beginning are taken. */
  readonly body: Buffer | { readonly path: string; readonly size: number }
  /** SHA-256 of the whole body, computed before the call; the store refuses other bytes. */
  readonly sha256: Buffer
  readonly contentType: string
  readonly lock?: ObjectLock
  /** A legal hold from the beginning. */
  readonly isHeld?: boolean
}

export interface ObjectHead {
  readonly key: string
  readonly size: number
  /** The store's own clock. */
  readonly lastModifiedMs: number
  readonly versionId: string | null
  readonly lock: ObjectLock | null
  /** What lies under the key when it is no plain file ('symlink', 'fifo' …): then it cannot be read. */
  readonly notFile?: string
}

export interface ArchiveStore {
  readonly driver: 'directory' | 's3'
  /** Where it is, for people: a path or an s3:// URL. */
  readonly location: string

  /**
   * @throws ARCHIVE_STORE_FULL, ARCHIVE_STORE_UNAVAILABLE, ARCHIVE_STORE_DENIED, ARCHIVE_DIGEST_MISMATCH,
   * ARCHIVE_OBJECT_TOO_LARGE; ARCHIVE_DELETE_MARKER where an object of that key was deleted, as `read`, `open` and
   * `head` do: such a key is not absent
   */
  create(object: NewObject): Promise<'created' | 'exists'>

  /**
   * Whole object, or null when the key does not exist.
   * @throws ARCHIVE_OBJECT_TOO_LARGE above `bytesMax`; ARCHIVE_OBJECT_NOT_FILE, which is never followed or opened
   */
  read(key: string, bytesMax: number): Promise<Buffer | null>

  /** The object's bytes as a stream, in order, or null when the key does not exist. @throws ARCHIVE_OBJECT_NOT_FILE */
  open(key: string): Promise<AsyncIterable<Uint8Array> | null>

  head(key: string): Promise<ObjectHead | null>

  /** Every key that begins with `prefix`, in byte order, read lazily; `after` is exclusive. Version and lock: only by `head`. */
  list(prefix: string, after?: string): AsyncIterable<ObjectHead>
}

export interface ObjectVersion {
  readonly key: string
  readonly versionId: string
  readonly isLatest: boolean
  /** Hides the versions below it from everything but `listVersions`. */
  readonly isDeleteMarker: boolean
  /** Null for a marker. */
  readonly size: number | null
  /** The store's own clock. */
  readonly lastModifiedMs: number
}

/** A store that keeps what is deleted: of an intact archive each key has one version, and no marker. */
export interface VersionedArchive {
  /** Every version and marker below `prefix`, in byte order of keys and then newest first, read lazily. */
  listVersions(prefix: string): AsyncIterable<ObjectVersion>
}

/** What keeps an object from being deleted; `unknown` where these credentials may not ask. */
export interface ObjectProtection {
  readonly lock: ObjectLock | null | 'unknown'
  readonly isHeld: boolean | 'unknown'
}

/** A store with Object Lock. What is said of a key is said of its newest version, the only one in an intact archive. */
export interface LockingArchive {
  /** Null when the key does not exist. */
  protectionOf(key: string): Promise<ObjectProtection | null>
  /** A lock that is longer or stricter; anything else is refused. @throws ARCHIVE_STORE_DENIED */
  extendLock(key: string, lock: ObjectLock): Promise<void>
  /** Idempotent. @throws ARCHIVE_STORE_DENIED */
  setHold(key: string, isHeld: boolean): Promise<void>
}

/** Attacks the store with objects of its own, beside the archive. */
export interface LockProbe {
  /** @throws ARCHIVE_STORE_UNAVAILABLE and the like where the store does not answer: then nothing was found out */
  run(mode: ObjectLock['mode']): Promise<ProbeReport>
}

export interface ProbeReport {
  readonly checks: Readonly<Record<ProbeCheck, ProbeFinding>>
}

export interface ProbeFinding {
  readonly verdict: ProbeVerdict
  /** What the store answered, for people. */
  readonly told: string
}

/** What reading commands and the verifier need of a store. */
export type ReadableArchive = Pick<ArchiveStore, 'location' | 'read' | 'open' | 'list'> &
  Partial<VersionedArchive> &
  Partial<Pick<LockingArchive, 'protectionOf'>>
