/**
 * CEL filters of handlers. Parsed and planned once; evaluating never throws: an expression that fails on an event
 * (a missing field, no JSON, no boolean, too many steps) is an outcome that the planner records, not a match and not silence.
 */
import { celEnv, CelScalar, isCelError, mapType, parse, plan, type CelInput } from '@bufbuild/cel'
import { timestampFromMs } from '@bufbuild/protobuf/wkt'
import { beginMeter, meteredFunctions, meteredRe2, meterMacros } from './filter-meter.ts'
import { filterFunctions, unknownNameIn } from './filter-names.ts'
import { messageOf } from '../error/message-of.ts'

const FILTER_CHARACTERS_MAX = 4096

export interface FilterEvent {
  readonly id: string
  readonly source: string
  readonly type: string
  readonly receivedAtMs: number
}

export interface FilterContext {
  /** Parsed JSON; undefined when the body is none. Read only when the expression names `payload`. */
  readonly payload: unknown
  readonly event: FilterEvent
  readonly headers: Readonly<Record<string, string>>
}

export type FilterResult =
  { readonly kind: 'match' | 'no-match' } | { readonly kind: 'error'; readonly detail: string }

export interface Filter {
  evaluate(context: FilterContext): FilterResult
}

const MATCH: FilterResult = { kind: 'match' }
const NO_MATCH: FilterResult = { kind: 'no-match' }

const variables = {
  payload: CelScalar.DYN,
  event: mapType(CelScalar.STRING, CelScalar.DYN),
  headers: mapType(CelScalar.STRING, CelScalar.STRING),
}
const env = celEnv({ variables, re2: meteredRe2 })
/** For expressions with macros alone: counting costs as much as evaluating does. */
const meteredEnv = celEnv({ variables, funcs: meteredFunctions(env.funcs), re2: meteredRe2 })

/** What filters may call, for docs/config.md and the test that holds it. */
export const filterFunctionNames = filterFunctions(env)

/** @throws when the expression is no CEL, names what does not exist, or is longer than the limit. */
export function compileFilter(source: string): Filter {
  if (source.length > FILTER_CHARACTERS_MAX)
    throw new Error(`a filter has at most ${FILTER_CHARACTERS_MAX} characters`)
  const parsed = parseFilter(source)
  const hasMacros = meterMacros(parsed.expr)
  const evaluate = plan(hasMacros ? meteredEnv : env, parsed)
  const needsPayload = /\bpayload\b/.test(source)
  return {
    evaluate: ({ payload, event, headers }) => {
      if (needsPayload && payload === undefined) return failed('the payload is not JSON')
      beginMeter(payload)
      try {
        return resultOf(
          evaluate({
            payload: needsPayload ? toCelInput(payload) : null,
            event: eventInput(event),
            headers: new Map(Object.entries(headers)),
          }),
        )
      } catch (error) {
        return failed(messageOf(error))
      }
    },
  }
}

function parseFilter(source: string): ReturnType<typeof parse> {
  const parsed = parseSyntax(source)
  const unknown = unknownNameIn(source, parsed, env)
  if (unknown !== null) throw new Error(unknown)
  return parsed
}

function parseSyntax(source: string): ReturnType<typeof parse> {
  try {
    return parse(source)
  } catch (error) {
    if (error instanceof RangeError) throw new Error('it is nested too deeply', { cause: error })
    const message = messageOf(error)
    throw new Error(message.replace('<input>:', ''), { cause: error })
  }
}

function eventInput({ id, source, type, receivedAtMs }: FilterEvent): Map<string, CelInput> {
  return new Map<string, CelInput>([
    ['id', id],
    ['source', source],
    ['type', type],
    ['received_at', timestampFromMs(receivedAtMs)],
  ])
}

function resultOf(value: unknown): FilterResult {
  if (value === true) return MATCH
  if (value === false) return NO_MATCH
  return failed(isCelError(value) ? value.message : 'the result is not a boolean')
}

function failed(detail: string): FilterResult {
  return { kind: 'error', detail }
}

/** JSON values are CEL inputs by construction. */
function toCelInput(value: unknown): CelInput {
  return value as CelInput
}
