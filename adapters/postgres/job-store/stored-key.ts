/**
 * A dedup key as its column holds it. An index entry has a limit (2 704 bytes) and text has forbidden characters; a key
 * beyond either would fail its step for ever. Such a key is stored as its beginning and its SHA-256, always longer than
 * a key that is stored as it is, so that two different keys never become one.
 */
import { createHash } from 'node:crypto'

const KEY_CHARACTERS_MAX = 512
const PREFIX_CHARACTERS = 480

export function storedKey(key: string): string {
  if (key.length <= KEY_CHARACTERS_MAX && !key.includes('\0') && key.isWellFormed()) return key
  const prefix = key.slice(0, PREFIX_CHARACTERS).replaceAll('\0', ' ').toWellFormed()
  // UTF-16, because UTF-8 would make all lone surrogates one character.
  const digest = createHash('sha256').update(key, 'utf16le').digest('hex')
  return prefix.padEnd(PREFIX_CHARACTERS) + digest
}
