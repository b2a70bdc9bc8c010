/**
 * Names in a CEL filter that nothing has: they would fail on every event, as dead jobs, so they are refused when the
 * configuration is read. What a payload lacks cannot be known here and stays an outcome of the event.
 */
import type { CelEnv, parse } from '@bufbuild/cel'
import { nearestName } from '../nearest-name.ts'

type Parsed = ReturnType<typeof parse>
type Expr = NonNullable<Parsed['expr']>
type Kind<K> = Extract<Expr['exprKind'], { case: K }> extends { value: infer V } ? V : never

export const FILTER_VARIABLES = ['payload', 'event', 'headers']
export const EVENT_FIELDS = ['id', 'source', 'type', 'received_at']
export const FILTER_TYPES = [
  'int',
  'uint',
  'double',
  'bool',
  'string',
  'bytes',
  'list',
  'map',
  'null_type',
  'type',
]
export const FILTER_MACROS = ['has', 'all', 'exists', 'exists_one', 'map', 'filter']

/** What is wrong at which place of the expression. */
interface Complaint {
  readonly id: bigint
  readonly message: string
}

/** The first name that does not exist, as `line:column: reason`; null when all do. */
export function unknownNameIn(source: string, { expr, sourceInfo }: Parsed, env: CelEnv): string | null {
  const complaint = complain(expr, { env, bound: [] })
  if (complaint === null) return null
  const before = source.slice(0, sourceInfo?.positions[complaint.id.toString()] ?? 0).split('\n')
  return `${before.length}:${(before.at(-1)?.length ?? 0) + 1}: ${complaint.message}`
}

/** Names of the functions that filters may call, operators aside. */
export function filterFunctions(env: CelEnv): readonly string[] {
  return [...new Set([...env.funcs].map(({ name }) => name))].filter((name) => /^[a-z]/i.test(name))
}

interface Scope {
  readonly env: CelEnv
  /** Variables of the macros around. */
  readonly bound: readonly string[]
}

function complain({ id, exprKind }: Expr, scope: Scope): Complaint | null {
  switch (exprKind.case) {
    case 'identExpr':
      return complainOfName(id, exprKind.value.name.replace(/^\./, ''), scope)
    case 'selectExpr':
      return complainOfSelect(id, exprKind.value, scope)
    case 'callExpr':
      return complainOfCall(id, exprKind.value, scope)
    case 'listExpr':
      return firstOf(exprKind.value.elements, scope)
    case 'structExpr':
      return complainOfStruct(id, exprKind.value, scope)
    case 'comprehensionExpr':
      return complainOfMacro(exprKind.value, scope)
    case 'constExpr':
    case undefined:
      return null
    default:
      exprKind satisfies never
      return null
  }
}

function firstOf(parts: readonly (Expr | undefined)[], scope: Scope): Complaint | null {
  for (const part of parts) {
    const complaint = part === undefined ? null : complain(part, scope)
    if (complaint !== null) return complaint
  }
  return null
}

function complainOfName(id: bigint, name: string, { bound }: Scope): Complaint | null {
  const known = [...bound, ...FILTER_VARIABLES, ...FILTER_TYPES]
  if (known.includes(name)) return null
  const variables = [...bound.filter((one) => !one.startsWith('@')), ...FILTER_VARIABLES]
  return { id, message: `no variable ${short(name)}${suggestion(name, variables)}` }
}

function complainOfSelect(
  id: bigint,
  { operand, field }: Kind<'selectExpr'>,
  scope: Scope,
): Complaint | null {
  if (isVariable(operand, 'event', scope) && !EVENT_FIELDS.includes(field))
    return { id, message: `event has no ${short(field)}${suggestion(field, EVENT_FIELDS)}` }
  return firstOf([operand], scope)
}

function complainOfCall(id: bigint, call: Kind<'callExpr'>, scope: Scope): Complaint | null {
  const { function: name, target, args } = call
  const [operand, index] = args
  if (name === '_[_]' && isVariable(operand, 'headers', scope) && isUpperCase(index))
    return { id, message: 'names of headers are in lower case' }
  if (/^[a-z]/i.test(name)) {
    const names = [...filterFunctions(scope.env), ...FILTER_MACROS]
    if (!names.includes(name)) return { id, message: `no function ${short(name)}${suggestion(name, names)}` }
    const isCallable = [...scope.env.funcs].some(
      (one) =>
        one.name === name &&
        (one.target === undefined) === (target === undefined) &&
        one.arguments.length === args.length,
    )
    if (!isCallable) return { id, message: `${name} cannot be called like this` }
  }
  return firstOf([target, ...args], scope)
}

function complainOfStruct(id: bigint, value: Kind<'structExpr'>, scope: Scope): Complaint | null {
  if (value.messageName !== '') return { id, message: `no message ${short(value.messageName)}` }
  const parts = value.entries.flatMap((entry) => [
    entry.keyKind.case === 'mapKey' ? entry.keyKind.value : undefined,
    entry.value,
  ])
  return firstOf(parts, scope)
}

function complainOfMacro(value: Kind<'comprehensionExpr'>, scope: Scope): Complaint | null {
  const inner = { ...scope, bound: [...scope.bound, value.iterVar, value.accuVar] }
  return (
    firstOf([value.iterRange, value.accuInit], scope) ??
    firstOf([value.loopCondition, value.loopStep, value.result], inner)
  )
}

function isVariable(expr: Expr | undefined, name: string, { bound }: Scope): boolean {
  return expr?.exprKind.case === 'identExpr' && expr.exprKind.value.name === name && !bound.includes(name)
}

function isUpperCase(expr: Expr | undefined): boolean {
  if (expr?.exprKind.case !== 'constExpr') return false
  const { constantKind } = expr.exprKind.value
  return constantKind.case === 'stringValue' && constantKind.value !== constantKind.value.toLowerCase()
}

function suggestion(name: string, known: readonly string[]): string {
  const nearest = nearestName(name, known)
  return nearest === null ? `; there are ${known.join(', ')}` : `; did you mean ${nearest}?`
}

function short(name: string): string {
  return name.length > 64 ? `${name.slice(0, 64)}…` : name
}
