/**
 * Whether the bodies of one source fit its schema. Nothing that is known costs a request to the registry, and no event
 * waits longer than one look-up: where a schema cannot be had the event is kept unchecked and says so, because the log of
 * record comes first (I1). What is kept of schemas is bounded, whatever ids senders put in front.
 */
import type { Clock } from '../core/clock.ts'
import type { SourceSchemaConfig } from '../core/config/config.ts'
import { HooktrailError, isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { Logger } from '../core/log.ts'
import type { Misfit, RegisteredSchema, SchemaRegistry } from '../core/ports/schema-registry.ts'
import type { JsonBody } from '../core/record/json-body.ts'
import { DECODED_BYTES_MAX } from '../core/record/event-record.ts'

export type SchemaVerdict =
  | { readonly kind: 'fits'; readonly schemaId: number; readonly decoded: string | null }
  | { readonly kind: 'misfit'; readonly schemaId: number | null; readonly misfit: Misfit }
  | { readonly kind: 'unchecked'; readonly schemaId: number | null; readonly reason: UncheckedReason }

export type UncheckedReason = 'registry_away' | 'subject_missing' | 'schema_unusable'

export interface SchemaCheckDeps {
  /** Name of the source. */
  readonly source: string
  readonly config: SourceSchemaConfig
  readonly registry: SchemaRegistry
  readonly clock: Clock
  readonly logger: Logger
}

/** Versions that senders use at once are few. */
const SCHEMAS_MAX = 100
const LOOKUPS_MAX = 4
/** How long a registry that did not answer, or a schema that cannot be used, is not asked for again. */
export const ASK_AGAIN_MS = 5_000
/** A body is refused only by what the registry said so lately: what is registered now may be sent at once. */
export const FRESH_MS = 1_000

const MAGIC_BYTE = 0
const FRAME_BYTES = 5

type Found = RegisteredSchema | SchemaVerdict

export class SchemaCheck {
  readonly #deps: SchemaCheckDeps
  #newest: RegisteredSchema | null = null
  /** Why there is no newest version, or why it may be out of date. */
  #fault: HooktrailError | null = new HooktrailError('SCHEMA_REGISTRY_UNAVAILABLE')
  #told: HooktrailError['code'] | null = null
  /** By id, the longest unused first. */
  readonly #schemas = new Map<number, RegisteredSchema>()
  /** Ids with which nothing can be checked for now, by id, the oldest first. */
  readonly #refused = new Map<number, { readonly verdict: SchemaVerdict; readonly untilMs: number }>()
  readonly #lookups = new Map<number, Promise<Found>>()
  #awayUntilMs = -Infinity
  #askedAtMs = -Infinity
  #refreshing: Promise<boolean> | null = null

  constructor(deps: SchemaCheckDeps) {
    this.#deps = deps
  }

  get config(): SourceSchemaConfig {
    return this.#deps.config
  }

  /** Why events are kept unchecked, for people; null while they are checked. */
  get missing(): string | null {
    const { source } = this.#deps
    return this.#newest !== null || this.#fault === null
      ? null
      : `${this.#fault.message}: events of ${source} are kept unchecked`
  }

  /** Asks for the newest version; one question at a time. False: the registry does not answer. */
  refresh(): Promise<boolean> {
    this.#askedAtMs = this.#deps.clock.monotonic()
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = null
    })
    return this.#refreshing
  }

  async #refresh(): Promise<boolean> {
    const { registry, config } = this.#deps
    try {
      const newest = await registry.newest(config.subject, this.#newest)
      if (newest !== null) this.#keep(newest)
      this.#newest = newest
      this.#fault =
        newest === null ? new HooktrailError('SCHEMA_SUBJECT_MISSING', { subject: config.subject }) : null
    } catch (error) {
      if (!isHooktrailError(error)) throw error
      this.#fault = error
    }
    this.#tell()
    return this.#fault?.code !== 'SCHEMA_REGISTRY_UNAVAILABLE'
  }

  /** A line for each change, however often it is asked. */
  #tell(): void {
    const { source, config, logger } = this.#deps
    const code = this.#fault?.code ?? null
    if (code === this.#told) return
    this.#told = code
    const fields = { source, subject: config.subject }
    if (this.#fault === null) logger.info(fields, 'the newest schema is at hand again')
    else logger.warn({ ...fields, err: this.#fault }, 'the newest schema cannot be had')
  }

  /** A promise only where an id is new, or a body would be refused by a version that may be out of date. */
  check(body: Buffer, json: JsonBody): SchemaVerdict | Promise<SchemaVerdict> {
    return this.#deps.config.mode === 'decode' ? this.#decode(body) : this.#validate(json)
  }

  #validate(json: JsonBody): SchemaVerdict | Promise<SchemaVerdict> {
    const verdict = this.#judge(json)
    const freshMs = this.#fault === null ? FRESH_MS : ASK_AGAIN_MS
    const isFresh = this.#deps.clock.monotonic() - this.#askedAtMs < freshMs && this.#refreshing === null
    return verdict.kind !== 'misfit' || isFresh ? verdict : this.refresh().then(() => this.#judge(json))
  }

  #judge(json: JsonBody): SchemaVerdict {
    const schema = this.#newest
    if (schema === null) return this.#unchecked()
    const { value } = json
    const misfit = value === undefined ? whole('not_json') : schema.check(value)
    return misfit === null
      ? { kind: 'fits', schemaId: schema.id, decoded: null }
      : { kind: 'misfit', schemaId: schema.id, misfit }
  }

  #decode(body: Buffer): SchemaVerdict | Promise<SchemaVerdict> {
    if (body.length < FRAME_BYTES || body[0] !== MAGIC_BYTE)
      return { kind: 'misfit', schemaId: null, misfit: whole('not_framed') }
    const found = this.#find(body.readUInt32BE(1))
    return found instanceof Promise ? found.then((answer) => decodeBy(answer, body)) : decodeBy(found, body)
  }

  #find(id: number): Found | Promise<Found> {
    const known = this.#schemas.get(id)
    if (known !== undefined) return this.#keep(known)
    if (this.#fault?.code === 'SCHEMA_SUBJECT_MISSING') return this.#unchecked()
    const nowMs = this.#deps.clock.monotonic()
    const refused = this.#refused.get(id)
    if (refused !== undefined && nowMs < refused.untilMs) return refused.verdict
    const pending = this.#lookups.get(id)
    if (pending !== undefined) return pending
    if (nowMs < this.#awayUntilMs || this.#lookups.size >= LOOKUPS_MAX) return unchecked(id, 'registry_away')
    const lookup = this.#lookUp(id).finally(() => {
      this.#lookups.delete(id)
    })
    this.#lookups.set(id, lookup)
    return lookup
  }

  async #lookUp(id: number): Promise<Found> {
    const { registry, config, clock, source, logger } = this.#deps
    try {
      const schema = await registry.version(config.subject, id)
      if (schema !== null) return this.#keep(schema)
      return this.#refuse(id, { kind: 'misfit', schemaId: id, misfit: whole('unknown_schema') }, FRESH_MS)
    } catch (error) {
      logger.warn(
        { source, id, err: error },
        'a schema cannot be had: what was encoded with it is kept unchecked',
      )
      if (isHooktrailError(error, 'SCHEMA_UNUSABLE'))
        return this.#refuse(id, unchecked(id, 'schema_unusable'), ASK_AGAIN_MS)
      this.#awayUntilMs = clock.monotonic() + ASK_AGAIN_MS
      return unchecked(id, 'registry_away')
    }
  }

  #keep(schema: RegisteredSchema): RegisteredSchema {
    this.#schemas.delete(schema.id)
    this.#schemas.set(schema.id, schema)
    dropFirst(this.#schemas)
    return schema
  }

  #refuse(id: number, verdict: SchemaVerdict, forMs: number): SchemaVerdict {
    this.#refused.delete(id)
    this.#refused.set(id, { verdict, untilMs: this.#deps.clock.monotonic() + forMs })
    dropFirst(this.#refused)
    return verdict
  }

  #unchecked(): SchemaVerdict {
    if (isHooktrailError(this.#fault, 'SCHEMA_SUBJECT_MISSING')) return unchecked(null, 'subject_missing')
    return unchecked(
      null,
      isHooktrailError(this.#fault, 'SCHEMA_UNUSABLE') ? 'schema_unusable' : 'registry_away',
    )
  }
}

function decodeBy(found: Found, body: Buffer): SchemaVerdict {
  if ('kind' in found) return found
  const decoded = found.decode(body.subarray(FRAME_BYTES))
  const misfit = decoded.ok ? tooLarge(decoded.json) : decoded.misfit
  if (misfit !== null || !decoded.ok)
    return { kind: 'misfit', schemaId: found.id, misfit: misfit ?? whole('does_not_fit') }
  return { kind: 'fits', schemaId: found.id, decoded: decoded.json }
}

function tooLarge(json: string): Misfit | null {
  return Buffer.byteLength(json) > DECODED_BYTES_MAX ? whole('decoded_too_large') : null
}

function whole(reason: Misfit['reason']): Misfit {
  return { reason, at: null, expected: null }
}

function unchecked(schemaId: number | null, reason: UncheckedReason): SchemaVerdict {
  return { kind: 'unchecked', schemaId, reason }
}

function dropFirst(map: Map<number, unknown>): void {
  if (map.size <= SCHEMAS_MAX) return
  const [first] = map.keys()
  if (first !== undefined) map.delete(first)
}
