/**
 * One schema of the registry as the port wants it: the client's own schema objects, whose answers differ by kind and which
 * throw on hostile bytes, behind a check and a decoding that never do.
 */
import type { Decoded, Misfit, RegisteredSchema } from '../../core/ports/schema-registry.ts'
import { parseJson } from '../../core/record/parse-header.ts'
import { plainJson } from './plain-json.ts'

/** What is used of the client's schema. JSON: `kind` of value is any, whatever the client's types say. */
export interface ClientSchema {
  isValid(
    value: unknown,
    options: { errorHook: (path: string[], found: unknown, expected?: unknown) => void },
  ): boolean
  fromBuffer(bytes: Buffer): unknown
}

export type SchemaKind = 'avro' | 'json'

const EXPECTED_CHARACTERS_MAX = 200
const POINTER_CHARACTERS_MAX = 200

export class CompiledSchema implements RegisteredSchema {
  readonly id: number
  readonly #kind: SchemaKind
  readonly #schema: ClientSchema

  constructor(id: number, kind: SchemaKind, schema: ClientSchema) {
    this.id = id
    this.#kind = kind
    this.#schema = schema
  }

  check(value: unknown): Misfit | null {
    const misfits: Misfit[] = []
    const errorHook = (path: readonly string[], found: unknown, expected?: unknown): void => {
      if (misfits.length === 0) misfits.push(this.#misfit(path, this.#kind === 'json' ? found : expected))
    }
    try {
      // Without a hook the client calls every JSON value valid.
      return this.#schema.isValid(value, { errorHook }) ? null : (misfits[0] ?? nowhere(null))
    } catch (error) {
      return nowhere(error)
    }
  }

  decode(bytes: Buffer): Decoded {
    if (this.#kind === 'json') return this.#decodeJson(bytes)
    try {
      return { ok: true, json: plainJson(this.#schema.fromBuffer(bytes)) }
    } catch (error) {
      return { ok: false, misfit: nowhere(error) }
    }
  }

  /** The text as it came: to parse and print it again would change its numbers. */
  #decodeJson(bytes: Buffer): Decoded {
    const json = bytes.toString('utf8')
    const value = parseJson(json)
    if (value === undefined) return { ok: false, misfit: { reason: 'not_json', at: null, expected: null } }
    const misfit = this.check(value)
    return misfit === null ? { ok: true, json } : { ok: false, misfit }
  }

  #misfit(path: readonly string[], expected: unknown): Misfit {
    const pointer = this.#kind === 'json' ? (path[0] ?? '') : path.map((name) => `/${name}`).join('')
    const text = typeof expected === 'string' ? expected : `must be ${String(expected)}`
    return {
      reason: 'does_not_fit',
      at: pointer === '' ? null : pointer.slice(0, POINTER_CHARACTERS_MAX),
      expected: text.slice(0, EXPECTED_CHARACTERS_MAX),
    }
  }
}

/** Too deep for the stack, or bytes that the schema cannot read. */
function nowhere(error: unknown): Misfit {
  const expected = error instanceof RangeError ? 'must be smaller or less deep' : null
  return { reason: 'does_not_fit', at: null, expected }
}
