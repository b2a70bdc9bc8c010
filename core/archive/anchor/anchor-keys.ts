/** Where anchors of a heartbeat's checkpoint lie: one object for each authority or target, whose name is of the target alone. */
import { hash } from 'node:crypto'

export const ANCHORS_PREFIX = 'anchors/'
/** A token with its certificates has some kilobytes. */
export const ANCHOR_BYTES_MAX = 256 * 1024

const ANCHOR_KEY = /^anchors\/([0-9]{12})\/(rfc3161|push)-[0-9a-f]{16}\.(tsr|note)$/

export type AnchorKind = 'rfc3161' | 'push'

export function anchorPrefix(heartbeat: bigint): string {
  return `${ANCHORS_PREFIX}${String(heartbeat).padStart(12, '0')}/`
}

/** @param target the authority's URL, or where checkpoints are pushed to */
export function anchorKey(heartbeat: bigint, kind: AnchorKind, target: string): string {
  const name = hash('sha256', target, 'hex').slice(0, 16)
  return `${anchorPrefix(heartbeat)}${kind}-${name}.${kind === 'push' ? 'note' : 'tsr'}`
}

/** Null when no anchor has this name. */
export function anchoredHeartbeat(key: string): bigint | null {
  const [, digits, kind, end] = ANCHOR_KEY.exec(key) ?? []
  if (digits === undefined) return null
  return (kind === 'push') === (end === 'note') ? BigInt(digits) : null
}

export function anchorKindOf(key: string): AnchorKind {
  return key.endsWith('.tsr') ? 'rfc3161' : 'push'
}
