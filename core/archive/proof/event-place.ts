/** Where an event lies, as people write it: `topic:partition:offset`. A topic that was made anew has several topic ids. */
import type { ReadableArchive } from '../../ports/archive-store.ts'
import { parseManifest } from '../documents.ts'
import { isManifestKey } from '../keys.ts'
import { MANIFEST_BYTES_MAX } from '../manifest.ts'
import { findSegment, type ArchiveSource } from '../range/find-segment.ts'
import { openNote } from '../signed-note.ts'
import type { EventPlace } from './make-proof.ts'

const PLACE = /^([A-Za-z0-9._-]{1,249}):([0-9]{1,5}):([0-9]{1,19})$/

export interface WrittenPlace {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
}

/** Null when it is no place: then it is the id of an event. */
export function parsePlace(text: string): WrittenPlace | null {
  const [, topic, partition, offset] = PLACE.exec(text) ?? []
  if (topic === undefined || partition === undefined || offset === undefined) return null
  return { topic, partition: Number(partition), offset: BigInt(offset) }
}

/** One place for each topic id under which the archive holds the offset. */
export async function placesOf(source: ArchiveSource, written: WrittenPlace): Promise<readonly EventPlace[]> {
  const places: EventPlace[] = []
  for await (const topicId of topicIds(source, written.topic)) {
    const place = { ...written, topicId }
    if ((await findSegment(source, place, place.offset))?.kind === 'segment') places.push(place)
  }
  return places
}

async function* topicIds({ store, keys }: ArchiveSource, topic: string): AsyncGenerator<string> {
  const prefix = `segments/${topic}/`
  for (let after = ''; ;) {
    const key = await firstManifest(store, prefix, after)
    if (key === null) return
    const bytes = await store.read(key, MANIFEST_BYTES_MAX)
    if (bytes !== null) yield parseManifest(openNote(bytes, keys).text).topic_id
    // '~' sorts behind everything that a key may hold: the rest of this topic id is skipped.
    after = `${key.split('/').slice(0, 3).join('/')}/~`
  }
}

async function firstManifest(store: ReadableArchive, prefix: string, after: string): Promise<string | null> {
  for await (const { key } of store.list(prefix, after)) if (isManifestKey(key)) return key
  return null
}
