/** What somebody does to files below an archive: each edit leaves exactly the bytes that it says. */
import assert from 'node:assert/strict'
import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { readNoteUnverified, signNote, type NoteSigner } from '../../core/archive/signed-note.ts'

export async function change(folder: string, key: string, edit: (bytes: Buffer) => Buffer): Promise<void> {
  const file = path.join(folder, key)
  const bytes = await readFile(file)
  await chmod(file, 0o644)
  await writeFile(file, edit(bytes))
}

export async function put(folder: string, key: string, bytes: Buffer | string): Promise<void> {
  await mkdir(path.dirname(path.join(folder, key)), { recursive: true })
  await writeFile(path.join(folder, key), bytes)
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
