/**
 * The kinds of fields that documents of the archive are made of, and how one is read: strictly, so that one document has
 * exactly one form. Unknown or missing fields, another spelling of the same value, or anything behind the line are refused.
 */
import { z } from 'zod'
import { HooktrailError } from '../error/hooktrail-error.ts'
import { canonicalJson } from './canonical-json.ts'
import { isObjectKey } from './keys.ts'
import { FORMAT_VERSION } from './manifest.ts'

export const int64 = z.string().regex(/^(0|[1-9][0-9]{0,18})$/)
export const signed64 = z.string().regex(/^(0|-?[1-9][0-9]{0,18})$/)
export const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
export const topicId = z.string().regex(/^[0-9a-f]{32}$/)
export const time = z.iso.datetime({ precision: 3 })
export const count = z.int().min(0)
export const text = z.string().max(1024)
export const key = z.string().refine(isObjectKey)
export const topicName = z.string().regex(/^[A-Za-z0-9._-]{1,249}$/)
export const version = z.literal(FORMAT_VERSION)
export const lockMode = z.enum(['governance', 'compliance'])
export const cadence = z.strictObject({ active_seconds: z.int().min(1), idle_seconds: z.int().min(1) })

/** @throws ARCHIVE_DOCUMENT_INVALID */
export function parseDocument<T>(schema: z.ZodType<T>, line: string): T {
  const parsed = parseJson(schema, line)
  if (`${canonicalJson(parsed)}\n` !== line)
    throw new HooktrailError('ARCHIVE_DOCUMENT_INVALID', { reason: 'not one line of RFC 8785 JSON' })
  return parsed
}

function parseJson<T>(schema: z.ZodType<T>, line: string): T {
  try {
    return schema.parse(JSON.parse(line))
  } catch (error) {
    throw new HooktrailError(
      'ARCHIVE_DOCUMENT_INVALID',
      { reason: 'a field is missing, unknown or malformed' },
      error,
    )
  }
}
