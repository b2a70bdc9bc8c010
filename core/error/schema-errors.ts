/** Errors of the schema registry: told in logs and /health, while events are kept unchecked. */
import type { ErrorText } from './error-text.ts'

const read = 'docs/schemas.md'
const events = 'events are kept and delivered without having been checked, and say so'

export const schemaErrors = {
  SCHEMA_REGISTRY_UNAVAILABLE: {
    what: 'the schema registry does not answer',
    events: `schemas that are known are used on; where one is not, ${events}`,
    fix: 'bring the registry of schema_registry.url back; it is asked again by itself',
    read,
  },
  SCHEMA_REGISTRY_REFUSED: {
    what: 'the schema registry refuses these credentials',
    events: `schemas that are known are used on; where one is not, ${events}`,
    fix: 'correct schema_registry.credentials; the user needs to read subjects and schemas',
    read,
  },
  SCHEMA_SUBJECT_MISSING: {
    what: 'the schema registry has no such subject',
    events,
    fix: 'register a schema under schema.subject of the source, or correct the name',
    read,
  },
  SCHEMA_UNUSABLE: {
    what: 'the schema registry has a schema that cannot be used',
    events,
    fix: 'register one in Avro or JSON Schema (draft-07, 2019-09, 2020-12) that is valid and complete',
    read,
  },
} as const satisfies Record<string, ErrorText>
