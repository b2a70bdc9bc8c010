/**
 * Removes what killed writers left in tmp/. Other writers may be at work right now, so only files that nobody has
 * touched for an hour go: no write of one object takes that long.
 */
import { readdir, stat, unlink } from 'node:fs/promises'
import path from 'node:path'
import { isMissing } from './store-error.ts'

const ABANDONED_MS = 3_600_000

/** @returns how many files were removed */
export async function sweepTemporary(folder: string, nowMs: number): Promise<number> {
  let removed = 0
  for (const name of await readdir(folder)) {
    if (await removeAbandoned(path.join(folder, name), nowMs)) removed += 1
  }
  return removed
}

async function removeAbandoned(file: string, nowMs: number): Promise<boolean> {
  try {
    const { mtimeMs } = await stat(file)
    if (nowMs - mtimeMs < ABANDONED_MS) return false
    await unlink(file)
    return true
  } catch (error) {
    // Its writer finished, or another sweep was faster.
    if (isMissing(error)) return false
    throw error
  }
}
