/** An archive in a folder of its own that a test takes away, puts back and tampers with. */
import { chmod, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDirectoryForReading, openDirectoryStore } from '../../adapters/directory/directory-store.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import { silentLogger } from './postgres.ts'
import type { ArchivePlace } from './union-stage.ts'

export async function openArchiveFolder(): Promise<ArchivePlace> {
  const folder = await mkdtemp(join(tmpdir(), 'hooktrail-union-'))
  const archive = join(folder, 'archive')
  const store = await openDirectoryStore(archive, { clock: systemClock, logger: silentLogger })
  return {
    store,
    // As cli/composition/archive-stores.ts says it.
    open: () =>
      openDirectoryForReading(archive).catch((error: unknown) => {
        throw new HooktrailError('ARCHIVE_READER_MISSING', {}, error)
      }),
    takeAway: () => rename(archive, `${archive}-away`),
    putBack: () => rename(`${archive}-away`, archive),
    tamper: async (key, change) => {
      const file = join(archive, key)
      const original = await readFile(file)
      await chmod(file, 0o644)
      if (change === null) await rm(file)
      else await writeFile(file, change(original))
      return () => writeFile(file, original)
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}
