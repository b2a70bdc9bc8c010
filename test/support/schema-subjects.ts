/**
 * Registers schemas as their owners do, over the registry's plain HTTP API, and encodes with the client that many senders
 * use, its own types untouched.
 */
import confluent from '@kafkajs/confluent-schema-registry'
import { isObject } from '../../core/record/parse-header.ts'

export interface SchemaReference {
  readonly name: string
  readonly subject: string
  readonly version: number
}

/** Apicurio takes a schema for JSON Schema only where it says so itself. */
const $schema = 'https://json-schema.org/draft/2020-12/schema'

/** Each registers a version and resolves to its id. */
export interface Subjects {
  json(subject: string, schema: object, references?: readonly SchemaReference[]): Promise<number>
  avro(subject: string, schema: object): Promise<number>
  protobuf(subject: string, schema: string): Promise<number>
  /** Magic byte, id, payload. */
  encode(id: number, value: unknown): Promise<Buffer>
}

export function createSubjects(url: string): Subjects {
  const client = new confluent.SchemaRegistry({ host: url })
  const register = async (subject: string, version: object): Promise<number> => {
    const answer = await fetch(`${url}/subjects/${encodeURIComponent(subject)}/versions`, {
      method: 'POST',
      headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
      body: JSON.stringify(version),
    })
    const text = await answer.text()
    const registered: unknown = JSON.parse(text)
    if (!isObject(registered) || typeof registered['id'] !== 'number') throw new Error(text)
    return registered['id']
  }
  return {
    json: (subject, schema, references = []) =>
      register(subject, { schemaType: 'JSON', schema: JSON.stringify({ $schema, ...schema }), references }),
    avro: (subject, schema) => register(subject, { schemaType: 'AVRO', schema: JSON.stringify(schema) }),
    protobuf: (subject, schema) => register(subject, { schemaType: 'PROTOBUF', schema }),
    encode: (id, value) => client.encode(id, value),
  }
}
