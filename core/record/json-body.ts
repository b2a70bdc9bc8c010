/**
 * A request's body as JSON, parsed at most once and only when somebody asks. Numbers keep their spelling where a double
 * cannot hold them: two large ids must not become one key.
 */
import { isUtf8 } from 'node:buffer'
import { parseJson } from './parse-header.ts'

export class JsonBody {
  readonly #bytes: Buffer
  #parsed: { readonly value: unknown } | null = null

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /**
   * False when no object in the body can have a member of this name: neither the quoted name occurs nor an escape that
   * could spell it. A search of bytes costs a twentieth of a parse, and many bodies are asked for what they lack.
   */
  mayHave(member: string): boolean {
    return this.#parsed !== null || this.#bytes.includes(`"${member}"`) || this.#bytes.includes('\\u')
  }

  get isUtf8(): boolean {
    return isUtf8(this.#bytes)
  }

  /** Undefined: it is no JSON. */
  get value(): unknown {
    this.#parsed ??= { value: parseJson(this.#bytes.toString('utf8')) }
    return this.#parsed.value
  }

  /** The string, number or boolean that `read` finds, as text; null for anything else, and for what is no JSON. */
  text(read: (value: unknown) => unknown): string | null {
    const found = search(read, this.value)
    if (typeof found === 'number' && !Number.isSafeInteger(found)) return this.#spelling(read)
    return typeof found === 'string' ? found || null : isScalar(found) ? String(found) : null
  }

  #spelling(read: (value: unknown) => unknown): string | null {
    const keepSpelling = (_key: string, value: unknown, context?: { source?: string }): unknown =>
      typeof value === 'number' ? (context?.source ?? value) : value
    const found = search(read, JSON.parse(this.#bytes.toString('utf8'), keepSpelling))
    return typeof found === 'string' ? found : null
  }
}

function isScalar(value: unknown): value is number | boolean {
  return typeof value === 'number' || typeof value === 'boolean'
}

/** A path may recurse deeper than the stack into a body that was made for it: then it finds nothing. */
function search(read: (value: unknown) => unknown, value: unknown): unknown {
  try {
    return read(value)
  } catch {
    // json-p3 raises on depth and size alone; the event itself is kept without the field.
    return undefined
  }
}
