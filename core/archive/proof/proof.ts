/**
 * The proof of one event, in one file: its bytes, its path to the root in a signed manifest, that manifest's path to the
 * root in a signed heartbeat, and what third parties say about that root. Standard SHA-256 and Ed25519 are enough to
 * check it (docs/auditor.md).
 */
import { z } from 'zod'
import { HooktrailError } from '../../error/hooktrail-error.ts'

/** A tree of 2^63 leaves is 63 high. */
const PATH_LENGTH_MAX = 63

const base64 = z.base64()
const path = z.array(z.string().regex(/^[0-9a-f]{64}$/)).max(PATH_LENGTH_MAX)
const place = z.strictObject({ index: z.int().min(0), path })

const row = z.record(z.string(), z.unknown())

const schema = z.strictObject({
  kind: z.literal('proof'),
  format_version: z.literal(1),
  /** The event for people: its row as the archive holds it. */
  row,
  /** Base64 of what the leaf commits to (docs/formats.md, "The leaf"). */
  preimage: base64,
  /** Among the leaves of its segment. */
  segment: place,
  /** The note as it lies in the archive. */
  manifest: z.string(),
  /** Among the manifests of the heartbeat's tree. */
  tree: place,
  heartbeat: z.string(),
  /** genesis.note and the key notes, where not the key of genesis alone signs the archive. */
  keys: z.array(z.string()).min(1).exactOptional(),
  anchors: z.array(z.strictObject({ key: z.string(), body: base64 })),
})

export type Proof = z.infer<typeof schema>

/** @throws ARCHIVE_PROOF_INVALID */
export function parseProof(text: string): Proof {
  try {
    return schema.parse(JSON.parse(text))
  } catch (error) {
    throw new HooktrailError('ARCHIVE_PROOF_INVALID', { reason: 'not a proof' }, error)
  }
}

/** A line of a data object. */
export function parseProofRow(line: string): Proof['row'] {
  return row.parse(JSON.parse(line))
}
