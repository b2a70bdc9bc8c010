/** Folders whose entries survive loss of power: each new one is synced into its parent before anything is put in it. */
import { mkdir, open } from 'node:fs/promises'
import path from 'node:path'
import { errnoOf } from '../system/errno.ts'
import { isMissing } from './store-error.ts'

const FOLDER_MODE = 0o700

export async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r')
  await handle.sync()
}

/** Creates `folder` and its missing parents, outermost first. Several writers may do so at once. */
export async function makeDurableFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { mode: FOLDER_MODE })
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return
    if (!isMissing(error)) throw error
    await makeDurableFolder(path.dirname(folder))
    return makeDurableFolder(folder)
  }
  await syncFolder(path.dirname(folder))
}
