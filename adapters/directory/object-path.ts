/**
 * Object keys as paths below the store's root. The key's own check keeps it below the root.
 */
import path from 'node:path'
import { isObjectKey } from '../../core/archive/keys.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'

/** Where unfinished files lie; no key begins here. */
export const TMP_FOLDER = 'tmp'

/** @throws ARCHIVE_KEY_INVALID */
export function objectPath(root: string, key: string): string {
  if (!isObjectKey(key)) throw new HooktrailError('ARCHIVE_KEY_INVALID', { key })
  return path.join(root, ...key.split('/'))
}
