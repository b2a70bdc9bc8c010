/**
 * Policy notes `policy/<n>.note`: what the archive promises about itself, signed: how long each topic's objects are
 * locked, and when a heartbeat is due. Each names the one before, and heartbeats name the newest, so none can be taken away.
 */
import { z } from 'zod'
import {
  cadence,
  int64,
  lockMode,
  parseDocument,
  sha256,
  text,
  time,
  topicName,
  version,
} from './document-fields.ts'
import type { Cadence, FORMAT_VERSION } from './manifest.ts'
import type { Retention, RetentionTerms } from './retention.ts'

export const WORM_MODES = ['off', 'preferred', 'required'] as const

export type WormMode = (typeof WORM_MODES)[number]

export interface PolicyRetention {
  readonly mode: 'governance' | 'compliance'
  readonly period_seconds: number
}

export interface Policy {
  readonly kind: 'policy'
  readonly format_version: typeof FORMAT_VERSION
  readonly archive_id: string
  readonly n: string
  readonly created_at: string
  /** SHA-256 of the note before; of genesis.note for n = 0. */
  readonly previous: string
  readonly worm: WormMode
  readonly cadence: Cadence
  /** Null where nothing is locked. */
  readonly retention: {
    readonly default: PolicyRetention
    readonly topics: Readonly<Record<string, PolicyRetention>>
  } | null
  readonly writer: string
}

/** What a policy says, without its place in the chain. */
export type PolicyTerms = Pick<Policy, 'worm' | 'cadence' | 'retention'>

const retention = z.strictObject({ mode: lockMode, period_seconds: z.int().min(1) })

const policy = z.strictObject({
  kind: z.literal('policy'),
  format_version: version,
  archive_id: text,
  n: int64,
  created_at: time,
  previous: sha256,
  worm: z.enum(WORM_MODES),
  cadence,
  retention: z.strictObject({ default: retention, topics: z.record(topicName, retention) }).nullable(),
  writer: text,
})

/** @throws ARCHIVE_DOCUMENT_INVALID */
export function parsePolicy(line: string): Policy {
  return parseDocument(policy, line)
}

export function retentionTermsOf({ retention: found }: PolicyTerms): RetentionTerms | null {
  if (found === null) return null
  const topics = Object.entries(found.topics).map(([topic, each]): [string, Retention] => [
    topic,
    fromPolicy(each),
  ])
  return { fallback: fromPolicy(found.default), topics: new Map(topics) }
}

export function policyRetentionOf({ fallback, topics }: RetentionTerms): Policy['retention'] {
  const ordered = [...topics].map(([topic, each]): [string, PolicyRetention] => [topic, toPolicy(each)])
  return { default: toPolicy(fallback), topics: Object.fromEntries(ordered) }
}

function fromPolicy({ mode, period_seconds: seconds }: PolicyRetention): Retention {
  return { mode, periodMs: seconds * 1000 }
}

function toPolicy({ mode, periodMs }: Retention): PolicyRetention {
  return { mode, period_seconds: Math.max(1, Math.ceil(periodMs / 1000)) }
}
