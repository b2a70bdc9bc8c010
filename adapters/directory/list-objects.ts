/**
 * Lists a folder tree in byte order of keys without holding it: one folder's names at a time for each level. A folder
 * sorts as its name with a slash, which is what byte order of whole keys asks for. Subtrees that lie wholly before
 * `after` or outside `prefix` are not read. Nothing is followed: a symlink to a folder is one entry, no subtree.
 */
import type { Stats } from 'node:fs'
import { lstat, readdir } from 'node:fs/promises'
import path from 'node:path'
import { PROBE_PREFIX } from '../../core/archive/keys.ts'
import type { ObjectHead } from '../../core/ports/archive-store.ts'
import { TMP_FOLDER } from './object-path.ts'
import { isMissing, storeError } from './store-error.ts'

/** What stands in a name for bytes that are no UTF-8: the file cannot be asked for by it, and must not be passed over. */
const NO_TEXT = '\ufffd'
/** The store's own, and what a bucket of which this is a copy was probed with. */
const NOT_ARCHIVE: ReadonlySet<string> = new Set([`${TMP_FOLDER}/`, PROBE_PREFIX])
const NAMELESS = { size: 0, lastModifiedMs: 0, versionId: null, lock: null, notFile: 'name that is no text' }

export interface ListRequest {
  readonly root: string
  readonly prefix: string
  /** Exclusive. */
  readonly after: string
}

export function listObjects(request: ListRequest): AsyncGenerator<ObjectHead> {
  // From the root, not from the prefix's folder: a symlink on the way there is not followed either.
  return walk(request, '')
}

/** @param folder key of the folder with its slash, empty for the root */
async function* walk(request: ListRequest, folder: string): AsyncGenerator<ObjectHead> {
  for (const name of await sortedNames(request.root, folder)) {
    const key = folder + name
    if (!isWanted(key, request)) continue
    if (name.includes(NO_TEXT)) {
      yield { ...NAMELESS, key }
      continue
    }
    if (key.endsWith('/')) {
      yield* walk(request, key)
      continue
    }
    const head = await objectHead(path.join(request.root, key), key)
    if (head !== null) yield head
  }
}

/** @returns null when there is no such object */
export async function objectHead(file: string, key: string): Promise<ObjectHead | null> {
  try {
    const found = await lstat(file)
    const lastModifiedMs = Math.floor(found.mtimeMs)
    const head = { key, size: found.size, lastModifiedMs, versionId: null, lock: null }
    return found.isFile() ? head : { ...head, notFile: kindOf(found) }
  } catch (error) {
    if (isMissing(error)) return null
    throw storeError(error, key)
  }
}

function kindOf(found: Stats): string {
  if (found.isSymbolicLink()) return 'symlink'
  if (found.isDirectory()) return 'folder'
  if (found.isFIFO()) return 'fifo'
  return found.isSocket() ? 'socket' : 'device'
}

function isWanted(key: string, { prefix, after }: ListRequest): boolean {
  if (!key.endsWith('/')) return key.startsWith(prefix) && key > after
  const inside = key.startsWith(prefix) || prefix.startsWith(key)
  return inside && (key > after || after.startsWith(key))
}

async function sortedNames(root: string, folder: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(path.join(root, folder), { withFileTypes: true })
    const names = entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
    return names.filter((name) => folder !== '' || !NOT_ARCHIVE.has(name)).toSorted(compareBytes)
  } catch (error) {
    if (isMissing(error)) return []
    throw storeError(error, folder)
  }
}

/** Keys are ASCII: code units are bytes. */
function compareBytes(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
