/**
 * What somebody does to files below an archive: each edit leaves exactly the bytes that it says, in a file of its own, since
 * the files of a copy may be links to those of the true archive.
 */
import assert from 'node:assert/strict'
import { mkdir, readFile, rename, rm, truncate, utimes, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { readNoteUnverified, signNote, type NoteSigner } from '../../core/archive/signed-note.ts'

export async function change(folder: string, key: string, edit: (bytes: Buffer) => Buffer): Promise<void> {
  const file = path.join(folder, key)
  const bytes = await readFile(file)
  await rm(file)
  await writeFile(file, edit(bytes))
}

export async function put(folder: string, key: string, bytes: Buffer | string): Promise<void> {
  await mkdir(path.dirname(path.join(folder, key)), { recursive: true })
  await rm(path.join(folder, key), { force: true })
  await writeFile(path.join(folder, key), bytes)
}

/** Goes on in noughts, which take no place. */
export async function grow(folder: string, key: string, size: number): Promise<void> {
  await change(folder, key, (bytes) => bytes)
  await truncate(path.join(folder, key), size)
}

export async function dateBack(folder: string, key: string): Promise<void> {
  await change(folder, key, (bytes) => bytes)
  await utimes(path.join(folder, key), 1_000_000_000, 1_000_000_000)
}

export async function remove(folder: string, keys: readonly string[]): Promise<void> {
  for (const key of keys) await rm(path.join(folder, key))
}

export async function swap(folder: string, a: string, b: string): Promise<void> {
  const third = path.join(folder, 'third')
  await rename(path.join(folder, a), third)
  await rename(path.join(folder, b), path.join(folder, a))
  await rename(third, path.join(folder, b))
}

/** Edits the text of a note; signed anew where somebody signs, else under the old signature. */
export async function forge(
  folder: string,
  key: string,
  edit: (text: string) => string,
  signer: NoteSigner | null = null,
): Promise<void> {
  await change(folder, key, (bytes) => {
    const text = readNoteUnverified(bytes)
    const forged = edit(text)
    assert(forged !== text || signer !== null, 'something is forged')
    return signer === null
      ? Buffer.concat([Buffer.from(forged), bytes.subarray(Buffer.byteLength(text))])
      : signNote(forged, signer)
  })
}

/** One byte changed, at a share of the length. */
export function flipped(bytes: Buffer, at: number, mask = 1): Buffer {
  const position = Math.min(Math.floor(bytes.length * at), bytes.length - 1)
  const out = Buffer.from(bytes)
  out.writeUInt8(bytes.readUInt8(position) ^ mask, position)
  return out
}
