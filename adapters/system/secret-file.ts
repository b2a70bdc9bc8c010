/**
 * Files that hold a secret: created once, whole and durable, mode 0600, and refused when others can read them. Two
 * processes that start at once agree on the one that was first.
 */
import { randomBytes } from 'node:crypto'
import { link, mkdir, open, readFile, rename, stat, unlink } from 'node:fs/promises'
import path from 'node:path'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import { errnoOf } from './errno.ts'

export const SECRET_MODE = 0o600
export const PUBLIC_MODE = 0o444
const FOLDER_MODE = 0o700
const WIDER_THAN_OWNER = 0o077
const SECRET_BYTES_MAX = 64 * 1024

/** @returns the text, or null when there is no file. @throws ARCHIVE_KEY_FILE_OPEN, ARCHIVE_KEY_FILE_INVALID */
export async function readSecretFile(file: string): Promise<string | null> {
  try {
    const found = await stat(file)
    if ((found.mode & WIDER_THAN_OWNER) !== 0) {
      throw new HooktrailError('ARCHIVE_KEY_FILE_OPEN', { file, mode: (found.mode & 0o777).toString(8) })
    }
    if (found.size > SECRET_BYTES_MAX) throw new HooktrailError('ARCHIVE_KEY_FILE_INVALID', { file })
    return await readFile(file, 'utf8')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
}

/** Writes `text` unless the file exists; the name appears only when all bytes are on disk. */
export async function createFileOnce(
  file: string,
  text: string,
  mode: number,
): Promise<'created' | 'exists'> {
  const folder = path.dirname(file)
  await mkdir(folder, { recursive: true, mode: FOLDER_MODE })
  const temporary = path.join(folder, `.${path.basename(file)}.${randomBytes(8).toString('hex')}`)
  try {
    await writeSynced(temporary, text, mode)
    await link(temporary, file)
    await syncFolder(folder)
    return 'created'
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return 'exists'
    throw error
  } finally {
    await unlink(temporary)
  }
}

/** Whole and durable in the place of what lies there. */
export async function replaceFile(file: string, text: string, mode: number): Promise<void> {
  const folder = path.dirname(file)
  const temporary = path.join(folder, `.${path.basename(file)}.${randomBytes(8).toString('hex')}`)
  await writeSynced(temporary, text, mode)
  await rename(temporary, file)
  await syncFolder(folder)
}

async function writeSynced(file: string, text: string, mode: number): Promise<void> {
  await using handle = await open(file, 'wx', mode)
  await handle.writeFile(text)
  await handle.chmod(mode)
  await handle.sync()
}

async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r')
  await handle.sync()
}
