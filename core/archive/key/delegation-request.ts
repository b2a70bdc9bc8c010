/**
 * What is carried to the machine of the root key: for which archive, which key is to take the place of which. It is not
 * signed: whoever holds the root compares fingerprints with those that the archiver's machine shows.
 */
import { z } from 'zod'
import { HooktrailError } from '../../error/hooktrail-error.ts'
import { isVerifierKey } from '../signed-note.ts'

const TEXT_LENGTH_MAX = 1024
const vkey = z.string().max(TEXT_LENGTH_MAX).refine(isVerifierKey)

const schema = z.strictObject({
  kind: z.literal('delegation-request'),
  format_version: z.literal(1),
  archive_id: z.string().max(TEXT_LENGTH_MAX),
  root_key: vkey,
  key: vkey,
  replaces: vkey.nullable(),
})

export type DelegationRequest = z.infer<typeof schema>

/** @throws ARCHIVE_DELEGATION_INVALID */
export function parseDelegationRequest(text: string): DelegationRequest {
  try {
    return schema.parse(JSON.parse(text))
  } catch (error) {
    throw new HooktrailError('ARCHIVE_DELEGATION_INVALID', { reason: 'the request is none' }, error)
  }
}
