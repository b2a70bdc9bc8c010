/**
 * Everything about one source that is compiled once: its verifier, where its fields come from, its topic. Turns a
 * verified request into an event; pure apart from the id that it is handed.
 */
import { hash, type KeyObject } from 'node:crypto'
import type { SourceConfig } from '../core/config/config.ts'
import { boundText } from '../core/record/bounded-text.ts'
import { cloudEventKey, cloudEventOf } from '../core/record/cloud-event.ts'
import { UNKNOWN_TYPE } from '../core/record/decode-event.ts'
import { compileFields, type SourceFields } from '../core/record/event-fields.ts'
import type { EventRecord, RequestEvidence, SchemaEvidence } from '../core/record/event-record.ts'
import { JsonBody } from '../core/record/json-body.ts'
import { keyedDigest, type Digest } from '../core/record/keyed-digest.ts'
import { redactHeaders, redactQuery } from '../core/record/redact.ts'
import { headerValue, type HeaderPairs } from '../core/verify/header-values.ts'
import { isTraceparent } from '../core/record/traceparent.ts'
import { createVerifier, type Verification, type Verifier } from '../core/verify/verifier.ts'
import type { SchemaCheck, SchemaVerdict } from './schema-check.ts'

export interface ReceivedRequest {
  readonly method: string
  /** Path with query, as received. */
  readonly url: string
  readonly clientIp: string
  readonly headers: HeaderPairs
  readonly body: Buffer
  readonly receivedAtMs: number
}

export interface IntakeDeps {
  readonly digestKey: KeyObject
  readonly generation: string
  readonly topicName: string
  /** Null: bodies need not fit a schema. */
  readonly check: SchemaCheck | null
}

type Verified = Extract<Verification, { ok: true }>

export interface CheckedRequest {
  readonly request: ReceivedRequest
  readonly verified: Verified
  /** Of the body as received. */
  readonly json: JsonBody
  readonly verdict: SchemaVerdict | null
}

export class SourceIntake {
  readonly source: SourceConfig
  readonly topicName: string
  /** Made once, for metrics. */
  readonly labels: { readonly source: string }
  readonly #verifier: Verifier
  readonly #check: SchemaCheck | null
  readonly #fields: SourceFields
  readonly #digest: Digest

  constructor(source: SourceConfig, deps: IntakeDeps) {
    this.source = source
    this.topicName = deps.topicName
    this.labels = { source: source.name }
    this.#verifier = createVerifier(source, deps)
    this.#check = deps.check
    this.#fields = compileFields(source)
    this.#digest = (bytes) => keyedDigest(deps.digestKey, bytes)
  }

  verify({ headers, body, receivedAtMs }: ReceivedRequest): Verification {
    return this.#verifier.verify({ headers, body, nowMs: receivedAtMs })
  }

  /** Null: there is no schema to fit. A promise only where the registry has to be asked; it never rejects. */
  checkSchema({ body }: ReceivedRequest, json: JsonBody): SchemaVerdict | null | Promise<SchemaVerdict> {
    return this.#check === null ? null : this.#check.check(body, json)
  }

  /**
   * Names the request and all its repeats: source, dedup key, body digest. Null without a dedup key. It never leaves the
   * process, so the digest needs no key, and one without costs half.
   */
  twinKey({ source, dedupKey, body }: EventRecord): string | null {
    return dedupKey === null ? null : `${source}\n${hash('sha256', body, 'base64')}\n${dedupKey}`
  }

  toEvent({ request, verified, json, verdict }: CheckedRequest, id: string): EventRecord {
    const { headers, body } = request
    const decoded = verdict?.kind === 'fits' ? verdict.decoded : null
    const fields = decoded === null ? json : new JsonBody(Buffer.from(decoded))
    const input = { headers, signedId: verified.signedId, body: fields }
    const cloudEvent = cloudEventOf(headers)
    const dedup =
      this.#fields.dedup(input) ?? (this.source.dedup.key === null ? cloudEventKey(cloudEvent) : null)
    const subject = cloudEvent?.['subject'] ?? null
    const traceparent = headerValue(headers, 'traceparent')
    const dedupKey = dedup === null ? null : this.#bound(dedup)
    return {
      id,
      source: this.source.name,
      type: this.#bound(this.#fields.type(input) ?? (cloudEvent?.['type'] || UNKNOWN_TYPE)),
      subject: subject === null ? null : this.#bound(subject),
      receivedAtMs: request.receivedAtMs,
      contentType: headerValue(headers, 'content-type'),
      traceparent: traceparent !== null && isTraceparent(traceparent) ? traceparent : null,
      dedupKey,
      cloudEvent,
      request: this.#requestEvidence(request),
      evidence: verified.evidence,
      schema: verdict === null ? null : this.#schemaEvidence(verdict),
      decoded,
      body,
      orderingKey: this.#fields.order(input) ?? dedupKey ?? id,
    }
  }

  #bound(text: string): string {
    return boundText(text, this.#digest)
  }

  #schemaEvidence(verdict: SchemaVerdict): SchemaEvidence {
    const { kind: result, schemaId } = verdict
    const subject = this.#check?.config.subject ?? ''
    switch (verdict.kind) {
      case 'fits':
        return { subject, schemaId, result, reason: null }
      case 'misfit':
        return { subject, schemaId, result, reason: verdict.misfit.reason }
      case 'unchecked':
        return { subject, schemaId, result, reason: verdict.reason }
    }
  }

  #requestEvidence({ method, url, clientIp, headers }: ReceivedRequest): RequestEvidence {
    const mark = url.indexOf('?')
    return {
      method,
      path: mark === -1 ? url : url.slice(0, mark),
      query: mark === -1 ? '' : redactQuery(url.slice(mark + 1), this.#digest),
      clientIp,
      headers: redactHeaders(headers, this.#digest),
    }
  }
}
