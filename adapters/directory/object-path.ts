/**
 * Object keys as paths below the store's root. A key is checked letter by letter, so none can leave the root, name a
 * hidden file, or mean two things on two file systems.
 */
import path from 'node:path'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'

/** Where unfinished files lie; no key begins here. */
export const TMP_FOLDER = 'tmp'

const KEY_LENGTH_MAX = 1024
const PART = /^[A-Za-z0-9_][A-Za-z0-9._=+-]{0,254}$/

/** @throws ARCHIVE_KEY_INVALID */
export function objectPath(root: string, key: string): string {
  const parts = key.split('/')
  const valid =
    key.length <= KEY_LENGTH_MAX && parts[0] !== TMP_FOLDER && parts.every((part) => PART.test(part))
  if (!valid) throw new HooktrailError('ARCHIVE_KEY_INVALID', { key })
  return path.join(root, ...parts)
}
