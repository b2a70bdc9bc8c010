/**
 * JSON Schemas compiled one by one, each in an Ajv of its own and in the dialect that it names. One Ajv for all, which
 * the registry's client would use, refuses a second version with the same `$id` and knows draft-07 alone.
 */
import { Ajv, type AnySchema, type AnySchemaObject, type Options, type ValidateFunction } from 'ajv'
import { Ajv2019 } from 'ajv/dist/2019.js'
import { Ajv2020 } from 'ajv/dist/2020.js'

/**
 * Words that a dialect does not know are annotations, as the standard says, and so is `format`. The first fault is enough:
 * to look for all of them is work that a hostile payload could multiply.
 */
const OPTIONS: Options = { strict: false, validateFormats: false, allErrors: false, logger: false }

/** The client's type asks for an answer that it does not use. */
const UNUSED = new Ajv(OPTIONS)

/** What the client fills and then compiles, at once and without waiting in between. */
export class JsonSchemas {
  #added: { readonly schema: AnySchema | AnySchema[]; readonly name: string | undefined }[] = []

  readonly addSchema: Ajv['addSchema'] = (schema, name) => {
    this.#added.push({ schema, name })
    return UNUSED
  }

  readonly compile = (schema: AnySchemaObject): ValidateFunction => {
    const added = this.#added
    this.#added = []
    const ajv = ajvFor(schema.$schema)
    for (const { schema: referenced, name } of added) ajv.addSchema(referenced, name)
    return ajv.compile(schema)
  }
}

function ajvFor(dialect: unknown): Pick<Ajv, 'addSchema' | 'compile'> {
  if (typeof dialect !== 'string') return new Ajv2020(OPTIONS)
  if (dialect.includes('2020-12')) return new Ajv2020(OPTIONS)
  if (dialect.includes('2019-09')) return new Ajv2019(OPTIONS)
  return new Ajv(OPTIONS)
}
