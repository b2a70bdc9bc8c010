/**
 * Where a store keeps what is deleted: each key of an intact archive has exactly one version and no marker. A marker
 * hides its key from every other listing, so a tail that was hidden behind markers shows here and nowhere else.
 */
import type { VersionedArchive } from '../../ports/archive-store.ts'
import type { VerifyContext } from './verify-context.ts'

export async function verifyVersions(
  { findings, signal }: VerifyContext,
  store: Partial<VersionedArchive>,
): Promise<void> {
  let previous: string | null = null
  for await (const { key, isDeleteMarker } of store.listVersions?.('') ?? []) {
    signal.throwIfAborted()
    if (isDeleteMarker) {
      findings.altered('delete-marker', key, 'it was deleted: a delete marker lies over it')
    } else if (key === previous) {
      findings.altered(
        'several-versions',
        key,
        'it was written more than once, which the store should have refused',
      )
    } else {
      previous = key
    }
  }
}
