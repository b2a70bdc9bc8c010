/**
 * What one evaluation of a filter may cost, counted in steps that depend on expression and event alone: an expression that
 * is too expensive for an event fails on every machine alike, and planning goes on. Only expressions with macros or
 * regular expressions can cost more than they are long; for others nothing is counted.
 */
import {
  celFunc,
  celList,
  celMethod,
  CelScalar,
  isCelList,
  isCelMap,
  listType,
  parse,
  type CelFunc,
} from '@bufbuild/cel'
import { RE2JS } from '@bufbuild/re2'

/** About a fifth of a second at worst, of an idle core. */
export const FILTER_STEPS_MAX = 500_000
/** A step of a regular expression is short. */
const REGEX_STEPS = 16
const CHARACTERS_A_STEP = 64
const ITEMS_A_STEP = 4
const LIST = listType(CelScalar.DYN)
const PATTERNS_KEPT_MAX = 200
/** RE2 takes no more repetitions than this, nested ones multiplied. */
const REPEATS_MAX = 1_000

type Parsed = ReturnType<typeof parse>
type Expr = NonNullable<Parsed['expr']>

/** Of the evaluation under way: filters are evaluated one after the other, each within one turn. */
let stepsLeft = FILTER_STEPS_MAX
/** What comparing the whole payload costs; null: nobody has asked yet. */
let comparison: { readonly payload: unknown; steps: number | null } = { payload: null, steps: null }

export function beginMeter(payload: unknown): void {
  stepsLeft = FILTER_STEPS_MAX
  comparison = { payload, steps: null }
}

/** @throws when there are none left; nothing in CEL catches it. */
function spend(steps: number): void {
  stepsLeft -= steps
  if (stepsLeft < 0)
    throw new Error(`the expression needs more than ${FILTER_STEPS_MAX} steps for this event`)
}

const patterns = new Map<string, RE2JS>()

/** Linear in the text, as RE2 is; patterns are compiled once. */
export const meteredRe2 = {
  compile: (pattern: string) => {
    const compiled = patterns.get(pattern) ?? compilePattern(pattern)
    return {
      test: (text: string): boolean => {
        spend((text.length * programSize(pattern)) / REGEX_STEPS)
        return compiled.test(text)
      },
    }
  },
}

function compilePattern(pattern: string): RE2JS {
  spend(programSize(pattern))
  const compiled = RE2JS.compile(pattern)
  if (patterns.size >= PATTERNS_KEPT_MAX) patterns.clear()
  patterns.set(pattern, compiled)
  return compiled
}

/** Not less than what RE2 makes of it. */
function programSize(pattern: string): number {
  let repeats = 1
  for (const [, low, high] of pattern.matchAll(/\{(\d+),?(\d*)\}/g))
    repeats = Math.min(repeats * Math.max(1, Number(low), Number(high)), REPEATS_MAX)
  return (pattern.length + 4) * repeats
}

/** The same functions, which count what they are given and give. */
export function meteredFunctions(funcs: Iterable<CelFunc>): CelFunc[] {
  return [
    ...[...funcs].map(metered),
    // Metered again, since what a function itself throws is an error that `||` may absorb.
    metered(
      celFunc('@tick', [CelScalar.INT], CelScalar.BOOL, (steps) => {
        spend(Number(steps))
        return true
      }),
    ),
    metered(celFunc('@range', [CelScalar.DYN], CelScalar.DYN, (range) => range)),
    // The library's keeps the parts: a list of n items that a macro built would be n lists deep.
    metered(celFunc('_+_', [LIST, LIST], LIST, (left, right) => celList([...left, ...right]))),
  ]
}

function metered(func: CelFunc): CelFunc {
  const call: CelFunc['call'] = (id, target, args) => {
    const result = func.call(id, target, args)
    // Undefined: another one of the same name takes these.
    if (result === undefined) return undefined
    const given = target === undefined ? args : [target, ...args]
    let steps = 1 + sizeSteps(result)
    for (const value of given) steps += sizeSteps(value)
    spend(steps)
    if (/^(?:_[=!]=_|@in)$/.test(func.name) && given.some(isCompound)) spend(comparisonSteps())
    return result
  }
  return Object.assign(copyOf(func), { call })
}

/** Functions of the library belong to every environment: only a copy may be changed. */
function copyOf({ name, target, arguments: args, result }: CelFunc): CelFunc {
  return target === undefined
    ? celFunc(name, args, result, () => null)
    : celMethod(name, target, args, result, () => null)
}

function isCompound(value: unknown): boolean {
  return isCelList(value) || isCelMap(value)
}

function sizeSteps(value: unknown): number {
  if (typeof value === 'string') return value.length / CHARACTERS_A_STEP
  if (value instanceof Uint8Array) return value.length / CHARACTERS_A_STEP
  return isCelList(value) || isCelMap(value) ? value.size / ITEMS_A_STEP : 0
}

function comparisonSteps(): number {
  return (comparison.steps ??= countNodes(comparison.payload))
}

function countNodes(root: unknown): number {
  let nodes = 0
  const open: unknown[] = [root]
  while (open.length > 0) {
    const value = open.pop()
    nodes += 1
    if (typeof value === 'object' && value !== null)
      for (const inner of Object.values(value)) open.push(inner)
  }
  return nodes
}

/** Whether the expression has macros; each round of one is then counted, by how much there is to evaluate. */
export function meterMacros(expr: Expr | undefined): boolean {
  if (expr === undefined) return false
  const inner = partsOf(expr)
  const isFound = inner.map(meterMacros).includes(true)
  if (expr.exprKind.case !== 'comprehensionExpr') return isFound
  const macro = expr.exprKind.value
  const steps = countParts(macro.loopStep) + countParts(macro.loopCondition)
  if (macro.iterRange !== undefined) macro.iterRange = wrapped('f(x)', '@range', macro.iterRange)
  if (macro.loopCondition !== undefined)
    macro.loopCondition = wrapped(`f(${steps}) && x`, '@tick', macro.loopCondition)
  return true
}

/** The template with `inner` for its x, and `name`, which nobody can write, for its f. */
function wrapped(template: string, name: string, inner: Expr): Expr {
  const { expr } = parse(template)
  const replace = (at: Expr | undefined): void => {
    if (at?.exprKind.case !== 'callExpr') return
    const call = at.exprKind.value
    if (call.function === 'f') call.function = name
    call.args = call.args.map((arg) => (arg.exprKind.case === 'identExpr' ? inner : arg))
    for (const arg of call.args) if (arg !== inner) replace(arg)
  }
  replace(expr)
  return expr
}

function countParts(expr: Expr | undefined): number {
  return expr === undefined ? 0 : partsOf(expr).reduce((sum, part) => sum + countParts(part), 1)
}

function partsOf({ exprKind }: Expr): readonly Expr[] {
  const parts = (...given: readonly (Expr | undefined)[]): readonly Expr[] =>
    given.filter((one) => one !== undefined)
  switch (exprKind.case) {
    case 'selectExpr':
      return parts(exprKind.value.operand)
    case 'callExpr':
      return parts(exprKind.value.target, ...exprKind.value.args)
    case 'listExpr':
      return exprKind.value.elements
    case 'structExpr':
      return exprKind.value.entries.flatMap(({ keyKind, value }) =>
        parts(keyKind.case === 'mapKey' ? keyKind.value : undefined, value),
      )
    case 'comprehensionExpr': {
      const { iterRange, accuInit, loopCondition, loopStep, result } = exprKind.value
      return parts(iterRange, accuInit, loopCondition, loopStep, result)
    }
    case 'constExpr':
    case 'identExpr':
    case undefined:
      return []
    default:
      exprKind satisfies never
      return []
  }
}
