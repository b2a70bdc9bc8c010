/**
 * An archive of very many small segments, written straight into a folder: true in every note, and made in seconds. Two
 * hundred segments a heartbeat, one record each, two partitions.
 */
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { ArchiveStore, NewObject } from '../../core/ports/archive-store.ts'
import { ArchiveBuilder } from './archive-builder.ts'

const PER_HEARTBEAT = 200

export async function buildWideArchive(folder: string, segments: number): Promise<ArchiveBuilder> {
  const builder = await ArchiveBuilder.create(folder)
  const made = new Set<string>()
  // Nothing has to survive a loss of power here: fsync of each object would take minutes.
  const create = async ({ key, body }: NewObject): Promise<'created'> => {
    assert(Buffer.isBuffer(body))
    const file = path.join(folder, key)
    const parent = path.dirname(file)
    if (!made.has(parent)) await mkdir(parent, { recursive: true })
    made.add(parent)
    await writeFile(file, body)
    return 'created'
  }
  builder.putWith(create)
  for (let at = 0; at < segments; at++) {
    await builder.addSegment(at % 2, 1)
    if (at % PER_HEARTBEAT === PER_HEARTBEAT - 1) await builder.addHeartbeat()
  }
  await builder.addHeartbeat()
  return builder
}

/** Counts what is asked of a store. */
export function counting<T extends Pick<ArchiveStore, 'read'>>(
  store: T,
): { readonly store: T; readonly requests: () => number } {
  let requests = 0
  const counted = new Proxy(store, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name, target)
      if (typeof member !== 'function') return member
      return (...given: unknown[]): unknown => {
        requests += 1
        return Reflect.apply(member, target, given)
      }
    },
  })
  return { store: counted, requests: () => requests }
}
