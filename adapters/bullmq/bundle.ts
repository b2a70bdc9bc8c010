/**
 * A bundle: the ids of hints as the data of one BullMQ job, because BullMQ's price is by the job. As large as a take of
 * the handler usually is, so that a process that fetched one seldom keeps hints that another could use.
 */
import type { JobHint } from '../../core/ports/pump-store.ts'

const BUNDLE_HINTS_MAX = 50
/** One part in so many of a handler's slots: what a take waits to have free before it asks (handler-runner.ts). */
const BUNDLE_SHARE = 4
const CONCURRENCY_DEFAULT = 20

export function bundleHintsOf(concurrency: number = CONCURRENCY_DEFAULT): number {
  return Math.min(BUNDLE_HINTS_MAX, Math.ceil(concurrency / BUNDLE_SHARE))
}

/** A hint's id is the job's id, a dot and the attempt. */
export function bundlesOf(hints: readonly JobHint[], bundleHints: number): readonly string[][] {
  const ids = hints.map(({ jobId, attempt }) => `${jobId}.${attempt}`)
  return Array.from({ length: Math.ceil(ids.length / bundleHints) }, (_, n) =>
    ids.slice(n * bundleHints, (n + 1) * bundleHints),
  )
}

/** The jobs' ids. Whatever else lies under the queue's keys is no hint. */
export function jobIdsOf(data: unknown): readonly string[] {
  if (!Array.isArray(data)) return []
  return data.flatMap((hint: unknown) =>
    typeof hint === 'string' ? hint.slice(0, hint.lastIndexOf('.')) : [],
  )
}
