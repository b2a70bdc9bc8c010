/**
 * How long each object is locked. Data by its topic's retention; a manifest a year longer than its data, and what leads to
 * the whole archive a year longer than the longest retention of all, so that what is left can always be judged.
 */
import type { ObjectLock } from '../ports/archive-store.ts'
import { topicOfKey } from './keys.ts'

export interface Retention {
  readonly mode: ObjectLock['mode']
  readonly periodMs: number
}

export interface RetentionTerms {
  readonly fallback: Retention
  readonly topics: ReadonlyMap<string, Retention>
}

/** By which notes outlast the data that they lead to. */
export const NOTE_MARGIN_MS = 365 * 86_400_000
/** Stores keep whole seconds. */
const SECOND_MS = 1000

/** Of an object that is created at `nowMs`. */
export function lockOf(terms: RetentionTerms, key: string, nowMs: number): ObjectLock {
  const topic = topicOfKey(key)
  const { mode, periodMs } = topic === null ? longestOf(terms) : retentionOf(terms, topic)
  const marginMs = key.startsWith('data/') ? 0 : NOTE_MARGIN_MS
  return { mode, untilMs: Math.ceil((nowMs + periodMs + marginMs) / SECOND_MS) * SECOND_MS }
}

export function retentionOf({ fallback, topics }: RetentionTerms, topic: string): Retention {
  return topics.get(topic) ?? fallback
}

/** The longest period and the strictest mode of all. */
export function longestOf({ fallback, topics }: RetentionTerms): Retention {
  const all = [fallback, ...topics.values()]
  return {
    mode: all.some(({ mode }) => mode === 'compliance') ? 'compliance' : 'governance',
    periodMs: Math.max(...all.map(({ periodMs }) => periodMs)),
  }
}

/** True when `found` protects at least as strictly and as long as `wanted`. */
export function covers(found: ObjectLock | null, wanted: ObjectLock): boolean {
  if (found === null || found.untilMs < wanted.untilMs) return false
  return found.mode === 'compliance' || wanted.mode === 'governance'
}
