/**
 * Heartbeats found with few requests: their numbers have no holes, and sizes and times only grow. Where a store lies
 * about that the search ends somewhere else, and whoever asked finds that what he sought is not there.
 */
import { parseHeartbeat } from '../documents.ts'
import { heartbeatKey } from '../keys.ts'
import type { Heartbeat } from '../manifest.ts'
import type { ArchiveSource } from '../range/find-segment.ts'
import { NOTE_BYTES_MAX, openNote } from '../signed-note.ts'

/** Null where there is none of that number. */
export type HeartbeatReader = (n: bigint) => Promise<Heartbeat | null>

/** Numbers have no holes: double until one is absent, then halve the distance. */
export async function firstAbsent(exists: (n: bigint) => Promise<boolean>): Promise<bigint> {
  if (!(await exists(0n))) return 0n
  let low = 0n
  let high = 1n
  while (await exists(high)) {
    low = high
    high *= 2n
  }
  while (high - low > 1n) {
    const middle = (low + high) / 2n
    if (await exists(middle)) low = middle
    else high = middle
  }
  return high
}

/** The first of those before `end` for which `holds` is true, as it is for all behind it; `end` where it never is. */
export async function firstHeartbeat(
  read: HeartbeatReader,
  end: bigint,
  holds: (heartbeat: Heartbeat) => boolean,
): Promise<bigint> {
  let [low, high] = [0n, end]
  while (low < high) {
    const middle = (low + high) / 2n
    const heartbeat = await read(middle)
    if (heartbeat !== null && holds(heartbeat)) high = middle
    else low = middle + 1n
  }
  return low
}

export interface NamedManifest {
  /** Its number in the tree. */
  readonly index: bigint
  readonly key: string
  readonly sha256: string
}

/** The manifests of heartbeats in tree order, from number `from` on. @param end first heartbeat that is not read */
export async function* namedManifests(
  read: HeartbeatReader,
  { from, end }: { readonly from: bigint; readonly end: bigint },
): AsyncGenerator<NamedManifest, void, undefined> {
  const first = await firstHeartbeat(read, end, ({ tree_size }) => BigInt(tree_size) > from)
  for (let n = first; n < end; n++) {
    const heartbeat = await read(n)
    if (heartbeat === null) return
    let index = BigInt(heartbeat.tree_size) - BigInt(heartbeat.manifests.length)
    for (const named of heartbeat.manifests) {
      if (index >= from) yield { index, ...named }
      index += 1n
    }
  }
}

/** How many there are: the number of the next one. */
export function heartbeatCount({ store }: ArchiveSource): Promise<bigint> {
  return firstAbsent(async (n) => (await store.read(heartbeatKey(n), NOTE_BYTES_MAX)) !== null)
}

/** Believes nothing that the keys did not sign. */
export function heartbeatReader({ store, keys }: ArchiveSource): HeartbeatReader {
  return async (n) => {
    const bytes = await store.read(heartbeatKey(n), NOTE_BYTES_MAX)
    return bytes && parseHeartbeat(openNote(bytes, keys).text)
  }
}
