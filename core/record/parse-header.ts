/**
 * Readers of the JSON in an event record's headers. Total: whatever bytes lie there, the answer is the value or null,
 * because a record that somebody else wrote must be readable too.
 */
import {
  SCHEMA_RESULTS,
  type Evidence,
  type EvidenceClass,
  type RequestEvidence,
  type SchemaEvidence,
} from './event-record.ts'

const CLASSES: ReadonlySet<string> = new Set<EvidenceClass>([
  'public-key',
  'shared-secret',
  'bearer',
  'network',
  'none',
])

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Not JSON: the caller treats it as absent, and the bytes stay in the log as they are.
    return undefined
  }
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function parseTextMap(text: string | null): Readonly<Record<string, string>> | null {
  const value = text === null ? undefined : parseJson(text)
  return isTextMap(value) ? value : null
}

export function parseRequest(text: string | null): RequestEvidence | null {
  const value = text === null ? undefined : parseJson(text)
  return isRequest(value) ? value : null
}

export function parseEvidence(text: string | null): Evidence | null {
  const value = text === null ? undefined : parseJson(text)
  return isEvidence(value) ? value : null
}

export function parseSchemaEvidence(text: string | null): SchemaEvidence | null {
  const value = text === null ? undefined : parseJson(text)
  return isSchemaEvidence(value) ? value : null
}

function isTextMap(value: unknown): value is Readonly<Record<string, string>> {
  return isObject(value) && Object.values(value).every((entry) => typeof entry === 'string')
}

function isRequest(value: unknown): value is RequestEvidence {
  return (
    isObject(value) &&
    [value['method'], value['path'], value['query'], value['clientIp']].every(isText) &&
    Array.isArray(value['headers']) &&
    value['headers'].every((pair) => Array.isArray(pair) && pair.length === 2 && pair.every(isText))
  )
}

function isEvidence(value: unknown): value is Evidence {
  return (
    isObject(value) &&
    value['version'] === 1 &&
    [value['scheme'], value['generation']].every(isText) &&
    isText(value['class']) &&
    CLASSES.has(value['class']) &&
    [value['secretId'], value['signedTimestamp']].every((entry) => entry === null || isText(entry)) &&
    isTextMap(value['signatures']) &&
    (value['toleranceSeconds'] === null || typeof value['toleranceSeconds'] === 'number')
  )
}

function isSchemaEvidence(value: unknown): value is SchemaEvidence {
  return (
    isObject(value) &&
    isText(value['subject']) &&
    (value['schemaId'] === null || typeof value['schemaId'] === 'number') &&
    SCHEMA_RESULTS.some((result) => result === value['result']) &&
    (value['reason'] === null || isText(value['reason']))
  )
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}
