/** The content type of an archive's object by its key: of data that of its format, of everything else text. */
import { codecOf } from './format/segment-codec.ts'
import { dataKeyParts } from './keys.ts'

export const TEXT_TYPE = 'text/plain; charset=utf-8'

export function contentTypeOf(key: string): string {
  const data = dataKeyParts(key)
  return data === null ? TEXT_TYPE : codecOf(data.format).contentType
}
