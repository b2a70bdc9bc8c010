/** What an archiver signs of a push: which checkpoint went where. It shows auditors where to ask; it proves nothing alone. */
import { hash } from 'node:crypto'
import { z } from 'zod'
import { HooktrailError } from '../../error/hooktrail-error.ts'
import { canonicalJson } from '../canonical-json.ts'
import type { Signer } from '../../ports/signer.ts'
import { openNote, signNoteBy, type NoteVerifier } from '../signed-note.ts'

const schema = z.strictObject({
  kind: z.literal('receipt'),
  format_version: z.literal(1),
  archive_id: z.string().max(1024),
  heartbeat: z.string().regex(/^(0|[1-9][0-9]{0,18})$/),
  checkpoint_sha256: z.string().regex(/^[0-9a-f]{64}$/),
  target: z.string().max(1024),
  pushed_at: z.iso.datetime({ precision: 3 }),
})

export type Receipt = z.infer<typeof schema>

export function signReceipt(receipt: Receipt, signer: Signer): Promise<Buffer> {
  return signNoteBy(`${canonicalJson(receipt)}\n`, [signer])
}

/** @throws ARCHIVE_NOTE_INVALID, ARCHIVE_ANCHOR_INVALID */
export function openReceipt(note: Buffer, checkpoint: Buffer, keys: readonly NoteVerifier[]): Receipt {
  const { text } = openNote(note, keys)
  const receipt = parseReceipt(text)
  if (
    `${canonicalJson(receipt)}\n` !== text ||
    receipt.checkpoint_sha256 !== hash('sha256', checkpoint, 'hex')
  )
    throw new HooktrailError('ARCHIVE_ANCHOR_INVALID', { reason: 'the receipt is of another checkpoint' })
  return receipt
}

function parseReceipt(text: string): Receipt {
  try {
    return schema.parse(JSON.parse(text))
  } catch (error) {
    throw new HooktrailError('ARCHIVE_ANCHOR_INVALID', { reason: 'it is no receipt' }, error)
  }
}
