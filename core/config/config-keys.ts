/** Every key of the schema as a list, for docs/config.md and the test that holds it. `*` stands for a name. */
import { z } from 'zod'
import { shapeOf } from './parse-section.ts'
import { handlerSchema, rootKeys, sectionSchemas, sourceSchema } from './schema.ts'

export interface ConfigKey {
  readonly key: string
  readonly kind: string
  /** As YAML flow text; null when there is none. */
  readonly default: string | null
  readonly meaning: string
}

export function configKeys(): readonly ConfigKey[] {
  return [
    ...keysOf('', rootKeys),
    ...keysOf('', sectionSchemas),
    ...keysOf('sources.*.', sourceSchema.shape),
    ...keysOf('handlers.*.', handlerSchema.shape),
  ]
}

function keysOf(prefix: string, shape: Readonly<Record<string, z.core.$ZodType>>): readonly ConfigKey[] {
  return Object.entries(shape).flatMap(([name, schema]) => {
    const inner = shapeOf(schema)
    const meaning = schema instanceof z.ZodType ? schema.description : undefined
    const own: ConfigKey = {
      key: prefix + name,
      kind: kindOf(schema),
      default: defaultOf(schema),
      meaning: meaning ?? '',
    }
    return inner === null
      ? [own]
      : [...(meaning === undefined ? [] : [own]), ...keysOf(`${prefix}${name}.`, inner)]
  })
}

function kindOf(schema: z.core.$ZodType): string {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault) return kindOf(schema.def.innerType)
  if (schema instanceof z.ZodArray) return `list of ${kindOf(schema.def.element)}`
  if (schema instanceof z.ZodUnion) return schema.def.options.map(kindOf).join(', ')
  if (schema instanceof z.ZodRecord || shapeOf(schema) !== null) return 'mapping'
  const kind = schema instanceof z.ZodType ? schema.meta()?.['kind'] : undefined
  return typeof kind === 'string' ? kind : 'text'
}

function defaultOf(schema: z.core.$ZodType): string | null {
  if (!(schema instanceof z.ZodPrefault) || shapeOf(schema) !== null) return null
  const value: unknown = schema.def.defaultValue
  if (Array.isArray(value)) return `[${value.join(', ')}]`
  if (typeof value === 'object') return '{}'
  return value === '' ? '(empty)' : JSON.stringify(value).replaceAll('"', '')
}
