/**
 * One way in which somebody may damage, shorten, extend or forge an archive in a folder, and what every verifier must say
 * of it: the exit code, and a finding with its code, its object and the offset where there is one.
 */
import { encodeDocument, parseHeartbeat, parseManifest } from '../../../core/archive/documents.ts'
import type { Heartbeat, Manifest } from '../../../core/archive/manifest.ts'
import type { FindingCode } from '../../../core/archive/verify/finding.ts'
import { IDLE_SECONDS } from '../kept-notes.ts'
import type { SmallArchive } from '../small-archive.ts'
import { forge } from '../tampering.ts'
import type { JudgeRequest } from '../two-verifiers.ts'

export interface Tampering {
  readonly how: string
  readonly damage: (archive: SmallArchive, folder: string) => Promise<unknown>
  readonly exitCode: number
  /** Several where verifiers may meet the same fault at another place of their pass. */
  readonly codes: readonly FindingCode[]
  readonly object: (archive: SmallArchive) => string
  /** Where the finding says more than the object's name. */
  readonly offset?: string
  readonly options?: (archive: SmallArchive) => Partial<JudgeRequest>
}

/** Bytes that are not the signed ones: one verifier compares them first, the other meets rows that cannot be read. */
export const BYTES = ['data-altered', 'rows-altered'] as const

/** With the checkpoint of its true end. */
export const kept = ({ checkpoint }: SmallArchive): Partial<JudgeRequest> => ({ checkpoint })

/** Long after the next heartbeat was due. */
export const late = ({ builder }: SmallArchive): Partial<JudgeRequest> => ({
  nowMs: builder.nowMs + 3 * IDLE_SECONDS * 1000,
})

/** What the holder of the key can do: everything that he signs is valid. */
export function forgeManifest(
  archive: SmallArchive,
  folder: string,
  { index, edit }: { readonly index: number; readonly edit: (manifest: Manifest) => Manifest },
): Promise<void> {
  const anew = (text: string): string => encodeDocument(edit(parseManifest(text)))
  return forge(folder, archive.segment(index).manifest, anew, archive.builder.signer)
}

export function forgeHeartbeat(
  archive: SmallArchive,
  folder: string,
  { index, edit }: { readonly index: number; readonly edit: (heartbeat: Heartbeat) => Heartbeat },
): Promise<void> {
  const anew = (text: string): string => encodeDocument(edit(parseHeartbeat(text)))
  return forge(folder, archive.heartbeat(index), anew, archive.builder.signer)
}
