/**
 * Runs one schema over one part of the file and turns what zod found into faults. Parts are parsed one by one, so that
 * a fault in one source hides nothing in the others.
 */
import { z } from 'zod'
import { nearestName } from '../nearest-name.ts'
import type { Report } from './config-fault.ts'
import type { Path } from './config-tree.ts'
import { reportUnknownKeys, withMeantNames } from './unknown-keys.ts'

type Issue = z.core.$ZodIssue

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

/**
 * Some members of a part for a check that looks at several of them; null when one of them is not well-formed, which
 * parseSection has reported. `members` is the picked schema, which passes over other keys; `known` are all names of the part.
 */
export function soundMembers<T extends z.ZodType>(
  members: T,
  { at, value }: Part,
  known: readonly string[],
): z.output<T> | null {
  const parsed = members.safeParse(withMeantNames(value, at, known))
  return parsed.success ? parsed.data : null
}

function reportIssue(
  issue: Issue,
  { schema, part }: { schema: z.ZodType; part: Part },
  report: Report,
): void {
  const path = writtenPath(part.value, issue.path)
  const at = [...part.at, ...path]
  if (issue.code === 'unrecognized_keys') {
    reportUnknownKeys(at, { keys: issue.keys, known: keysAt(schema, path) }, report)
    return
  }
  const found = valueAt(part.value, path)
  if (found !== undefined) {
    report({ at, message: issue.message, ...wrongWord(issue, found) })
    return
  }
  const name = path.at(-1)
  const parent = path.slice(0, -1)
  const siblings = withMeantNames(valueAt(part.value, parent), at.slice(0, -1), keysAt(schema, parent))
  if (name === undefined || valueAt(siblings, [name]) === undefined)
    report({ at, message: `is missing: ${issue.message}` })
}

/** A fault of a member that a word stands for, as in `verify: github`, is a fault of that word. */
function writtenPath(value: unknown, path: Path): Path {
  const end = path.findIndex((_, index) => {
    const parent = valueAt(value, path.slice(0, index))
    return parent !== undefined && (typeof parent !== 'object' || parent === null)
  })
  return end === -1 ? path : path.slice(0, end)
}

/** Where one of a few words is expected: the one that stands there, and the one that was probably meant. */
function wrongWord(issue: Issue, found: unknown): { readonly found?: string; readonly hint?: string } {
  const options: unknown = issue.code === 'custom' ? issue.params?.['options'] : undefined
  if (typeof found !== 'string' || !Array.isArray(options)) return {}
  const nearest = nearestName(found, options.map(String))
  return nearest === null ? { found } : { found, hint: `did you mean ${nearest}?` }
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
