/**
 * JSONata transforms of handlers: from an event's JSON to the body of a request. Bounded in depth and length here; time
 * and memory are bounded by whoever evaluates (dispatcher/transforms.ts), since an expression may run for ever. Evaluating
 * never throws: an expression that fails on an event is an outcome.
 */
import jsonata from 'jsonata'

const TRANSFORM_CHARACTERS_MAX = 16_384
/** Nested evaluations; what goes deeper is refused with a reason instead of by the end of the stack. */
const DEPTH_MAX = 500
const SEQUENCE_ITEMS_MAX = 100_000
/** Of a payload, and of what a transform makes of it. */
export const TRANSFORM_BYTES_MAX = 8 * 1024 * 1024
const DETAIL_CHARACTERS_MAX = 500

export interface TransformInput {
  /** JSON text; the root of the expression. */
  readonly payload: string
  /** `$event` */
  readonly event: {
    readonly id: string
    readonly source: string
    readonly type: string
    readonly subject: string | null
    /** RFC 3339, UTC. */
    readonly received_at: string
  }
  /** `$headers`: of the sender's request, names in lower case. */
  readonly headers: Readonly<Record<string, string>>
}

export type Transformed =
  | { readonly kind: 'body'; readonly body: string; readonly contentType: string }
  | { readonly kind: 'error'; readonly detail: string }

export type Transform = (input: TransformInput) => Promise<Transformed>

/** @throws when the expression is no JSONata or longer than the limit. */
export function compileTransform(source: string): Transform {
  if (source.length > TRANSFORM_CHARACTERS_MAX)
    throw new Error(`a transform has at most ${TRANSFORM_CHARACTERS_MAX} characters`)
  const expression = compileExpression(source)
  return async ({ payload, event, headers }) => {
    const parsed = parsePayload(payload)
    if (parsed === null) return transformError('the payload is not JSON')
    try {
      const result: unknown = await expression.evaluate(parsed.value, { event, headers })
      return bodyOf(result)
    } catch (error) {
      return transformError(reasonOf(error))
    }
  }
}

export function transformError(detail: string): Transformed {
  return { kind: 'error', detail: detail.replaceAll('\0', '').slice(0, DETAIL_CHARACTERS_MAX) }
}

function compileExpression(source: string): jsonata.Expression {
  try {
    return jsonata(source, { stack: DEPTH_MAX, sequence: SEQUENCE_ITEMS_MAX })
  } catch (error) {
    if (error instanceof RangeError) throw new Error('it is nested too deeply', { cause: error })
    throw new Error(`${placeOf(error)}${reasonOf(error)}`, { cause: error })
  }
}

function parsePayload(payload: string): { readonly value: unknown } | null {
  try {
    const value: unknown = JSON.parse(payload)
    return { value }
  } catch {
    return null
  }
}

/** Text is sent as it is, everything else as JSON. */
function bodyOf(result: unknown): Transformed {
  if (result === undefined) return transformError('the expression has no result for this event')
  if (typeof result === 'string') return bounded(result, 'text/plain; charset=utf-8')
  const json = jsonOf(result)
  return json === null ? transformError('the result is not JSON') : bounded(json, 'application/json')
}

/** Null for what JSON has no form for, such as a function. */
function jsonOf(result: unknown): string | null {
  try {
    const json: unknown = JSON.stringify(result)
    return typeof json === 'string' ? json : null
  } catch {
    return null
  }
}

function bounded(body: string, contentType: string): Transformed {
  return Buffer.byteLength(body) <= TRANSFORM_BYTES_MAX
    ? { kind: 'body', body, contentType }
    : transformError(`the result has more than ${TRANSFORM_BYTES_MAX} bytes`)
}

/** What JSONata throws is a plain object. */
function reasonOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'message' in error && typeof error.message === 'string')
    return error.message
  return 'it failed without a reason'
}

function placeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('position' in error)) return ''
  return typeof error.position === 'number' ? `at character ${error.position}: ` : ''
}
