/** Pushes checkpoints into a second place: a folder or a bucket that others than the archive's writers can read and lock. */
import { hash } from 'node:crypto'
import { HooktrailError, isHooktrailError } from '../../error/hooktrail-error.ts'
import type { AnchorTarget } from '../../ports/anchor-target.ts'
import type { ArchiveStore } from '../../ports/archive-store.ts'
import { TEXT_TYPE } from '../content-type.ts'

const CHECKPOINT_BYTES_MAX = 4096

/** @param open the store, opened when it is needed first */
export function storeTarget(
  name: string,
  open: () => Promise<Pick<ArchiveStore, 'create' | 'read'>>,
): AnchorTarget {
  return {
    kind: 'push',
    name,
    submit: async ({ archiveId, n, checkpoint }) => {
      const key = `checkpoints/${archiveId}/${String(n).padStart(12, '0')}.note`
      try {
        const store = await open()
        const sha256 = hash('sha256', checkpoint, 'buffer')
        const outcome = await store.create({ key, body: checkpoint, sha256, contentType: TEXT_TYPE })
        if (
          outcome === 'created' ||
          (await store.read(key, CHECKPOINT_BYTES_MAX))?.equals(checkpoint) === true
        )
          return null
        throw new HooktrailError('ARCHIVE_ANCHOR_FAILED', {
          target: name,
          key,
          reason: 'another checkpoint lies there',
        })
      } catch (error) {
        if (!isHooktrailError(error) || error.code === 'ARCHIVE_ANCHOR_FAILED') throw error
        throw new HooktrailError('ARCHIVE_ANCHOR_FAILED', { target: name }, error)
      }
    },
  }
}
