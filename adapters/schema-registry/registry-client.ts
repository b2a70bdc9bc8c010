/**
 * Schemas from a Confluent-compatible registry, through `@kafkajs/confluent-schema-registry`. The client has no deadline,
 * retries by itself and keeps every schema for ever: here each look-up ends in time, connections are few, and nothing
 * is kept but by who asked.
 */
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { setTimeout as delay } from 'node:timers/promises'
import confluent from '@kafkajs/confluent-schema-registry'
import { Agent as UndiciAgent, request } from 'undici'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import { messageOf } from '../../core/error/message-of.ts'
import type { RegisteredSchema, SchemaRegistry } from '../../core/ports/schema-registry.ts'
import { isObject, parseJson } from '../../core/record/parse-header.ts'
import { safeTypes } from './avro-types.ts'
import { CompiledSchema, type SchemaKind } from './compiled-schema.ts'
import { JsonSchemas } from './json-schemas.ts'

export interface SchemaRegistryOptions {
  /** Base of the Confluent API: for Apicurio it ends with /apis/ccompat/v7. */
  readonly url: string
  readonly credentials: { readonly username: string; readonly password: string } | null
  /** PEM of a private authority; null: the certificates that Node trusts. */
  readonly ca: string | null
  /** For all requests of one look-up together. */
  readonly lookupMsMax?: number
}

/** Short against the default deadline of a source, 3 s. */
const LOOKUP_MS_MAX = 1_500
const SOCKETS_MAX = 4
const LATE: unique symbol = Symbol('late')

export function openSchemaRegistry(options: SchemaRegistryOptions): SchemaRegistry {
  return new ConfluentRegistry(options)
}

class ConfluentRegistry implements SchemaRegistry {
  readonly #url: string
  readonly #authorization: Readonly<Record<string, string>>
  readonly #lookupMsMax: number
  readonly #client: confluent.SchemaRegistry
  readonly #agent: HttpAgent
  readonly #dispatcher: UndiciAgent

  constructor({ url, credentials, ca, lookupMsMax = LOOKUP_MS_MAX }: SchemaRegistryOptions) {
    this.#url = url.replace(/\/$/, '')
    this.#lookupMsMax = lookupMsMax
    this.#authorization = credentials === null ? {} : { authorization: basicOf(credentials) }
    const sockets = { maxSockets: SOCKETS_MAX, keepAlive: false }
    const trust = ca === null ? {} : { ca }
    this.#agent = url.startsWith('https:') ? new HttpsAgent({ ...sockets, ...trust }) : new HttpAgent(sockets)
    this.#dispatcher = new UndiciAgent({ connections: SOCKETS_MAX, connect: trust })
    const auth = credentials === null ? {} : { auth: credentials }
    this.#client = new confluent.SchemaRegistry(
      { host: this.#url, agent: this.#agent, retry: { retries: 0 }, ...auth },
      {
        [confluent.SchemaType.AVRO]: { typeHook: safeTypes },
        [confluent.SchemaType.JSON]: { ajvInstance: new JsonSchemas() },
      },
    )
  }

  newest(subject: string, known: RegisteredSchema | null): Promise<RegisteredSchema | null> {
    return this.#inTime(async () => {
      const id = await this.#client.getLatestSchemaId(subject)
      return id === known?.id ? known : await this.#schema(id)
    })
  }

  version(subject: string, id: number): Promise<RegisteredSchema | null> {
    return this.#inTime(async (signal) => ((await this.#has(subject, id, signal)) ? this.#schema(id) : null))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.destroy()
    await this.#dispatcher.destroy()
  }

  async #schema(id: number): Promise<RegisteredSchema> {
    try {
      const schema = await this.#client.getSchema(id)
      const kind = kindOf(schema)
      if (kind === null)
        throw new HooktrailError('SCHEMA_UNUSABLE', { id, reason: 'it is neither Avro nor JSON Schema' })
      return new CompiledSchema(id, kind, schema)
    } catch (error) {
      if (error instanceof HooktrailError || hasStatus(error)) throw error
      throw new HooktrailError('SCHEMA_UNUSABLE', { id, reason: messageOf(error) }, error)
    } finally {
      // Who asked keeps it, within a bound.
      this.#client.cache.clear()
    }
  }

  /** The client cannot ask whose version an id is. */
  async #has(subject: string, id: number, signal: AbortSignal): Promise<boolean> {
    const { statusCode, body } = await request(`${this.#url}/schemas/ids/${id}/versions`, {
      headers: this.#authorization,
      dispatcher: this.#dispatcher,
      signal,
    })
    const versions = parseJson(await body.text())
    if (statusCode === 404) return false
    if (statusCode !== 200 || !Array.isArray(versions)) throw new StatusError(statusCode)
    return versions.some((version) => isObject(version) && version['subject'] === subject)
  }

  /** What is late is given up with its connections, which the client would wait on for ever. */
  async #inTime<T>(lookUp: (signal: AbortSignal) => Promise<T | null>): Promise<T | null> {
    const late = new AbortController()
    const answered = new AbortController()
    const found = lookUp(late.signal)
    found.catch(() => undefined)
    const limit = delay(this.#lookupMsMax, LATE, { signal: answered.signal }).catch((): typeof LATE => LATE)
    try {
      const first = await Promise.race<T | null | typeof LATE>([found, limit])
      if (first !== LATE) return first
    } catch (error) {
      return this.#absence(error)
    } finally {
      answered.abort()
    }
    late.abort()
    this.#agent.destroy()
    throw this.#unavailable(`no answer within ${this.#lookupMsMax} ms`)
  }

  /** Null for what the registry says is not there. */
  #absence(error: unknown): null {
    if (error instanceof HooktrailError) throw error
    const status = hasStatus(error) ? error.status : null
    if (status === 404) return null
    if (status === 401 || status === 403)
      throw new HooktrailError('SCHEMA_REGISTRY_REFUSED', { status }, error)
    throw this.#unavailable(messageOf(error), error)
  }

  #unavailable(reason: string, cause?: unknown): HooktrailError {
    return new HooktrailError('SCHEMA_REGISTRY_UNAVAILABLE', { url: this.#url, reason }, cause)
  }
}

class StatusError extends Error {
  readonly status: number

  constructor(status: number) {
    super(`answered ${status}`)
    this.status = status
  }
}

function hasStatus(error: unknown): error is { readonly status: number } {
  return error instanceof Error && 'status' in error && typeof error.status === 'number'
}

/** The client does not say: one of avsc's types, or its own around a compiled JSON Schema; else Protobuf. */
function kindOf(schema: object): SchemaKind | null {
  if ('typeName' in schema) return 'avro'
  return 'validate' in schema ? 'json' : null
}

function basicOf({ username, password }: { readonly username: string; readonly password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}
