/**
 * Runs one schema over one part of the file and turns what zod found into faults. Parts are parsed one by one, so that
 * a fault in one source hides nothing in the others.
 */
import { z } from 'zod'
import { nearestName, type Report } from './config-fault.ts'
import { laterKeys } from './schema.ts'

type Issue = z.core.$ZodIssue
type Path = readonly PropertyKey[]

export interface Part {
  readonly at: Path
  readonly value: unknown
}

export function parseSection<T extends z.ZodType>(schema: T, part: Part, report: Report): z.output<T> | null {
  const parsed = schema.safeParse(part.value)
  if (parsed.success) return parsed.data
  for (const issue of parsed.error.issues) reportIssue(issue, { schema, part }, report)
  return null
}

function reportIssue(
  issue: Issue,
  { schema, part }: { schema: z.ZodType; part: Part },
  report: Report,
): void {
  const at = [...part.at, ...issue.path]
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(schema, issue.path)
    for (const key of issue.keys) reportUnknownKey([...at, key], known, report)
    return
  }
  const isMissing = valueAt(part.value, issue.path) === undefined
  report({ at, message: isMissing ? `is missing: ${issue.message}` : issue.message })
}

export function reportUnknownKey(at: Path, known: readonly string[], report: Report): void {
  if (laterKeys.has(pattern(at))) {
    report({ at, message: 'is not available in this version', hint: 'remove it' })
    return
  }
  const nearest = nearestName(String(at.at(-1)), known)
  report({
    at,
    message: 'is an unknown key',
    hint: nearest === null ? `known here: ${known.join(', ')}` : `did you mean ${nearest}?`,
  })
}

function pattern(at: Path): string {
  const named = at[0] === 'sources' || at[0] === 'handlers'
  return at.map((name, index) => (named && index === 1 ? '*' : String(name))).join('.')
}

function keysAt(schema: z.core.$ZodType, path: Path): readonly string[] {
  const shape = shapeOf(schema)
  const [name, ...rest] = path
  if (shape === null) return []
  if (name === undefined) return Object.keys(shape)
  const child = shape[String(name)]
  return child === undefined ? [] : keysAt(child, rest)
}

/** The members of a mapping below defaults and the like; null for anything else. */
export function shapeOf(schema: z.core.$ZodType): Readonly<Record<string, z.core.$ZodType>> | null {
  if (schema instanceof z.ZodObject) return schema.shape
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault) return shapeOf(schema.def.innerType)
  if (schema instanceof z.ZodPipe) return shapeOf(schema.def.out)
  return null
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (inner, name) => (typeof inner === 'object' && inner !== null ? Reflect.get(inner, name) : undefined),
    value,
  )
}
