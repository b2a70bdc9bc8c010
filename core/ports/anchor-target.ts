/**
 * Port: a third party that has seen a checkpoint. Adapters: adapters/http (time-stamp authorities, webhooks); any archive
 * store. What it answers is kept and judged by anybody who verifies; nothing here is trusted.
 *
 * Duties: `submit` may be repeated for one heartbeat, ends within a bounded time, and rejects when the other side did not
 * take the checkpoint.
 */
import type { AnchorKind } from '../archive/anchor/anchor-keys.ts'

export interface AnchoredHeartbeat {
  readonly archiveId: string
  readonly n: bigint
  /** The C2SP checkpoint, a signed note. */
  readonly checkpoint: Buffer
}

export interface AnchorTarget {
  readonly kind: AnchorKind
  /** For people and for the object's name; holds no secret. */
  readonly name: string
  /** @returns the authority's answer; null where there is none to keep @throws ARCHIVE_ANCHOR_FAILED, ARCHIVE_ANCHOR_INVALID */
  submit(heartbeat: AnchoredHeartbeat, signal: AbortSignal): Promise<Buffer | null>
}
