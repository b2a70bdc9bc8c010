/**
 * The keys with which this process signs the archive: of the settings, or made at first use in the home; and which of their
 * public halves, or roots, the archive must have. Only archivers open them.
 */
import {
  HomeKeys,
  ensureArchiveSigner,
  publishKey,
  readDelegations,
  rootsOf,
} from '../../adapters/system/home-keys.ts'
import { archiveSignerOf, archivePublicKeyPath, readPublicKeys } from '../../adapters/system/key-files.ts'
import { openArchiveSigner } from '../../adapters/system/archive-signer.ts'
import type { ArchiverDeps } from '../../archiver/archiver-context.ts'
import { parseVerifierKey, type NoteVerifier } from '../../core/archive/signed-note.ts'
import type { ArchiveKeyConfig } from '../../core/config/config.ts'
import type { KeyCandidate, KeySource, Signer } from '../../core/ports/signer.ts'
import type { Context } from './context.ts'

export interface KeyPlace {
  readonly config: Pick<Context['config'], 'archive'>
  readonly home: string
}

/** The one to begin with. @throws ARCHIVE_SIGNER_FAILED, ARCHIVE_KEY_FILE_OPEN, ARCHIVE_KEY_FILE_INVALID */
export function archiveSigner({ config, home }: KeyPlace): Promise<Signer> {
  const { signingKey } = config.archive
  return signingKey === null
    ? ensureArchiveSigner(home)
    : openArchiveSigner(signingKey, 'archive.signing_key')
}

/** @throws as archiveSigner, and ARCHIVE_PUBLIC_KEY_INVALID, ARCHIVE_NOTE_INVALID, ARCHIVE_DOCUMENT_INVALID */
export async function openArchiveKeys(
  place: KeyPlace,
): Promise<Pick<ArchiverDeps, 'signer' | 'verifiers' | 'keySource'>> {
  const { signingKey, nextSigningKey, publicKey, delegations } = place.config.archive
  const signer = await archiveSigner(place)
  const next = nextSigningKey && (await openArchiveSigner(nextSigningKey, 'archive.next_signing_key'))
  const roots = rootsOf(delegations)
  await publishKey(place.home, (roots[0] ?? signer).vkey)
  const pinned: readonly NoteVerifier[] = [
    ...(signingKey === null ? await readPublicKeys(archivePublicKeyPath(place.home)) : []),
    ...(publicKey === null ? [] : [parseVerifierKey(publicKey)]),
    ...[signer, ...(next === null ? [] : [next])].map(({ vkey }) => parseVerifierKey(vkey)),
    ...roots,
  ]
  const home = new HomeKeys(place.home)
  const read = async (): Promise<readonly KeyCandidate[]> => {
    const notes = [...delegations, ...(await readDelegations(place.home))]
    const own = signingKey === null ? await home.signers() : [signer]
    const all = next === null ? own : [...own, next]
    return all.map((each) => ({ signer: each, delegations: notes }))
  }
  const keySource: KeySource = { read, promote: (vkey) => home.promote(vkey) }
  return { signer, verifiers: pinned, keySource }
}

/** Where it can be told without running anything; null: it cannot. */
export function publicKeyOf(key: ArchiveKeyConfig): string | null {
  switch (key.kind) {
    case 'pem':
      return archiveSignerOf(key.pem, 'archive.signing_key').vkey
    case 'sign':
      return key.vkey
    case 'file':
    case 'command':
      return null
  }
}
