/** The content type of an archive's object by its key: of data that of its format, of tiles and tokens bytes, of the rest text. */
import { codecOf } from './format/segment-codec.ts'
import { dataKeyParts } from './keys.ts'
import { TILES_PREFIX } from './tree/tile.ts'

export const TEXT_TYPE = 'text/plain; charset=utf-8'
const BYTES_TYPE = 'application/octet-stream'
const TOKEN = /^anchors\/.*\.tsr$/

export function contentTypeOf(key: string): string {
  const data = dataKeyParts(key)
  if (data !== null) return codecOf(data.format).contentType
  return key.startsWith(TILES_PREFIX) || TOKEN.test(key) ? BYTES_TYPE : TEXT_TYPE
}
