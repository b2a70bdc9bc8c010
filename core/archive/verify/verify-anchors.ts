/**
 * Anchors: what third parties said about checkpoints of this archive. Each belongs to the checkpoint of its heartbeat or is
 * forged; the newest of each third party tells up to where the archive is more than the key holder's word.
 */
import type { X509Certificate } from 'node:crypto'
import { isHooktrailError } from '../../error/hooktrail-error.ts'
import { ANCHOR_BYTES_MAX, ANCHORS_PREFIX, anchoredHeartbeat, anchorKindOf } from '../anchor/anchor-keys.ts'
import { openReceipt } from '../anchor/receipt.ts'
import { readTimestamp } from '../anchor/timestamp.ts'
import { parseHeartbeat } from '../documents.ts'
import { heartbeatKey } from '../keys.ts'
import { NOTE_BYTES_MAX, openNote, statedSigner } from '../signed-note.ts'
import type { VerifyContext } from './verify-context.ts'

/** Third parties that one archive has named; more are counted as one. */
const PARTIES_MAX = 100

export interface AnchorReport {
  /** Number of the newest heartbeat that it covers. */
  readonly heartbeat: string
  readonly at: string
  readonly by: string
  /** stamped: an authority's token; vouched: and a certificate that was given stands behind it; pushed: a receipt. */
  readonly grade: 'stamped' | 'vouched' | 'pushed'
}

export async function verifyAnchors(
  context: VerifyContext,
  authorities: readonly X509Certificate[],
): Promise<readonly AnchorReport[]> {
  const newest = new Map<string, AnchorReport>()
  for await (const { key } of context.store.list(ANCHORS_PREFIX)) {
    context.signal.throwIfAborted()
    const report = await verifyAnchor(context, key, authorities)
    if (report !== null && (newest.has(report.by) || newest.size < PARTIES_MAX)) newest.set(report.by, report)
  }
  return [...newest.values()]
}

async function verifyAnchor(
  { store, findings, keys, archiveId }: VerifyContext,
  key: string,
  authorities: readonly X509Certificate[],
): Promise<AnchorReport | null> {
  const n = anchoredHeartbeat(key)
  if (n === null) {
    findings.altered('foreign', key, 'no anchor has this name')
    return null
  }
  const [anchor, note] = [
    await store.read(key, ANCHOR_BYTES_MAX),
    await store.read(heartbeatKey(n), NOTE_BYTES_MAX),
  ]
  if (anchor === null) return null
  try {
    const { checkpoint } = note === null ? {} : parseHeartbeat(openNote(note, keys).text)
    if (checkpoint === undefined) {
      findings.altered('foreign', key, 'its heartbeat is missing or has no checkpoint')
      return null
    }
    const message = Buffer.from(checkpoint)
    if (anchorKindOf(key) === 'rfc3161') {
      const { timeMs, by, trusted } = readTimestamp(anchor, message, authorities)
      return {
        heartbeat: String(n),
        at: new Date(timeMs).toISOString(),
        by,
        grade: trusted ? 'vouched' : 'stamped',
      }
    }
    // The archiver pushed it when the heartbeat was there: an older key had no business with it.
    const since = note === null ? -1 : keys.findIndex(({ vkey }) => vkey === statedSigner(note, keys)?.vkey)
    const receipt = openReceipt(anchor, message, keys.slice(Math.max(0, since)))
    if (receipt.archive_id !== archiveId || receipt.heartbeat !== String(n)) {
      findings.altered('anchor-forged', key, 'its receipt is of another heartbeat')
      return null
    }
    return { heartbeat: String(n), at: receipt.pushed_at, by: receipt.target, grade: 'pushed' }
  } catch (error) {
    if (!isHooktrailError(error)) throw error
    const { reason } = error.details
    findings.altered(
      'anchor-forged',
      key,
      `it is no anchor of this heartbeat: ${typeof reason === 'string' ? reason : error.code}`,
    )
    return null
  }
}
