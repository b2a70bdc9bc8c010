/**
 * A sender's own CloudEvents attributes (HTTP binding 1.0, binary mode): `ce-*` headers, kept beside ours and used as
 * defaults for type, subject and dedup key.
 */
import type { HeaderPairs } from '../verify/header-values.ts'

const ATTRIBUTE_HEADER = /^ce-([a-z0-9]{1,32})$/i
const ATTRIBUTES_MAX = 64

export type CloudEventAttributes = Readonly<Record<string, string>>

/** Null when the request is no CloudEvent: without `ce-specversion`. */
export function cloudEventOf(headers: HeaderPairs): CloudEventAttributes | null {
  const found: [string, string][] = []
  for (const [name, value] of headers) {
    if (name.charCodeAt(2) !== 0x2d) continue
    const attribute = ATTRIBUTE_HEADER.exec(name)?.[1]?.toLowerCase()
    if (attribute !== undefined && found.length < ATTRIBUTES_MAX)
      found.push([attribute, percentDecoded(value)])
  }
  return found.some(([name]) => name === 'specversion') ? Object.fromEntries(found) : null
}

/** `source` and `id` together are unique (CloudEvents 1.0, id); a source is a URI reference and holds no space. */
export function cloudEventKey(attributes: CloudEventAttributes | null): string | null {
  const { source, id } = { source: attributes?.['source'], id: attributes?.['id'] }
  return source && id ? `${source} ${id}` : null
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    // No valid percent-encoding: kept as it came.
    return text
  }
}
