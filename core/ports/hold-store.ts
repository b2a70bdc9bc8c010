/**
 * Part of the job store's port: legal holds on their way into the archive. A request commits together with its audit row
 * (I9); an archiver signs it, and the archive is where it counts.
 */
import type { HoldRange } from '../archive/holds.ts'
import type { AuditEntry } from './dead-letter-store.ts'
import type { Page } from './operator-store.ts'

export interface HoldRequest {
  readonly holdId: string
  readonly action: 'hold' | 'release'
  /** Null for a release. */
  readonly range: HoldRange | null
  readonly eventId: string | null
  readonly reason: string
}

export interface OpenHoldRequest extends HoldRequest {
  readonly requestNo: bigint
}

export interface HoldView extends HoldRequest {
  readonly requestedAtMs: number
  /** Numbers of the notes; null until they are signed. */
  readonly noteN: bigint | null
  readonly release: { readonly reason: string; readonly noteN: string | null } | null
}

export interface HoldStore {
  /** False where a hold is there already, or where what is to be released is not held, or not any more. */
  requestHold(request: HoldRequest, audit: AuditEntry): Promise<boolean>
  getHold(holdId: string): Promise<HoldView | null>
  /** Newest first. @param page.cursor a hold that is there */
  listHolds(page: { readonly cursor?: string; readonly limit: number }): Promise<Page<HoldView>>
  /** Not signed yet, oldest first. */
  openHoldRequests(limit: number): Promise<readonly OpenHoldRequest[]>
  /** Repeating it changes nothing. */
  markHoldSigned(requestNo: bigint, n: bigint): Promise<void>
}
