/**
 * What the log is about to forget still lies in the store: each segment's signed manifest, and a data object of its size.
 * A store may acknowledge an object and lose it, and people delete; until the cut the log has those events, behind it
 * nobody has. Each segment is asked for once. Its bytes are the verifier's affair.
 */
import { findSegment } from '../core/archive/range/find-segment.ts'
import type { Manifest } from '../core/archive/manifest.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import type { TopicPartition } from '../core/ports/event-log.ts'
import { partitionKey, type ArchiverContext } from './archiver-context.ts'

export interface CutRange {
  readonly from: bigint
  /** Exclusive. */
  readonly before: bigint
}

export class KeptSegments {
  /** By partition: behind the last segment that was found. */
  readonly #ends = new Map<string, bigint>()

  /** @returns up to where, exclusive, everything is there: `before`, or where what is missing begins */
  async endOf(context: ArchiverContext, at: TopicPartition, { from, before }: CutRange): Promise<bigint> {
    const source = { store: context.archive, keys: context.keys.verifiers }
    const known = this.#ends.get(partitionKey(at)) ?? from
    for (let next = known < from ? from : known; next < before;) {
      const found = await findSegment(source, at, next)
      const missing = await missingOf(context, found?.kind === 'segment' ? found.manifest : null)
      if (found === null || missing !== null) {
        const error = new HooktrailError('ARCHIVE_SEGMENT_ALTERED', missing ?? { reason: 'no manifest' })
        context.logger.error({ ...at, offset: String(next), err: error }, 'the log is not cut here')
        return next
      }
      next = found.kind === 'segment' ? BigInt(found.manifest.next) : found.next
      this.#ends.set(partitionKey(at), next)
    }
    return before
  }
}

async function missingOf(
  { archive }: ArchiverContext,
  manifest: Manifest | null,
): Promise<{ readonly key: string; readonly reason: string } | null> {
  if (manifest === null || manifest.data === null) return null
  const { key, size } = manifest.data
  const head = await archive.head(key)
  if (head === null) return { key, reason: 'it is missing' }
  return head.size === size ? null : { key, reason: `it has ${head.size} bytes instead of ${size}` }
}
