/**
 * What an auditor keeps outside the archive: the newest heartbeat and the head of every chain. An archive that later
 * ends before it was truncated; one that says something else at the same place was rewritten.
 */
import { z } from 'zod'
import { HooktrailError } from '../../error/hooktrail-error.ts'
import type { Heartbeat } from '../manifest.ts'
import type { Findings } from './finding.ts'
import { partitionName, type ChainEnd } from './partition-table.ts'
import type { VerifyLevel } from './verify-context.ts'
import type { VerifiedNote } from './read-note.ts'

const schema = z.strictObject({
  archive_id: z.string(),
  heartbeat: z
    .strictObject({ n: z.string(), sha256: z.string(), tree_size: z.string(), tree_root: z.string() })
    .nullable(),
  /** Up to which level the run that wrote it read everything; earlier versions did not say. */
  level: z.literal([0, 1, 2]).exactOptional(),
  heads: z.array(
    z.strictObject({
      topic: z.string(),
      topic_id: z.string(),
      partition: z.int(),
      next: z.string().regex(/^[0-9]{1,19}$/),
      head: z.string(),
    }),
  ),
})

export type Checkpoint = z.infer<typeof schema>

/** @throws ARCHIVE_DOCUMENT_INVALID */
export function parseCheckpoint(text: string): Checkpoint {
  try {
    return schema.parse(JSON.parse(text))
  } catch (error) {
    throw new HooktrailError('ARCHIVE_DOCUMENT_INVALID', { reason: 'not a checkpoint' }, error)
  }
}

export interface ArchiveState {
  readonly archiveId: string
  readonly last: VerifiedNote<Heartbeat> | null
  readonly ends: ReadonlyMap<string, ChainEnd>
}

/** @param level that everything was read at, by this run or by the one that it rests on */
export function makeCheckpoint({ archiveId, last, ends }: ArchiveState, level: VerifyLevel): Checkpoint {
  const heartbeat = last && {
    n: last.document.n,
    sha256: last.sha256,
    tree_size: last.document.tree_size,
    tree_root: last.document.tree_root,
  }
  return { archive_id: archiveId, heartbeat, level, heads: [...ends.values()] }
}

/** While the chain of heartbeats passes by: the one that the checkpoint names must be the same note. */
export function compareHeartbeat(
  checkpoint: Checkpoint | null,
  note: VerifiedNote<Heartbeat>,
  findings: Findings,
): void {
  const kept = checkpoint?.heartbeat
  if (kept?.n !== note.document.n) return
  const same = kept.sha256 === note.sha256 && kept.tree_root === note.document.tree_root
  if (!same) {
    findings.altered(
      'checkpoint-contradicted',
      `heartbeat ${kept.n}`,
      'it is another one than the checkpoint names',
    )
  }
}

/** At the end: nothing that the checkpoint names may lie beyond what the archive holds. */
export function compareEnd(checkpoint: Checkpoint, state: ArchiveState, findings: Findings): void {
  if (checkpoint.archive_id !== state.archiveId) {
    findings.altered('checkpoint-contradicted', 'genesis.note', 'the checkpoint is of another archive')
    return
  }
  const { heartbeat } = checkpoint
  const lastN = state.last === null ? -1n : BigInt(state.last.document.n)
  if (heartbeat !== null && lastN < BigInt(heartbeat.n)) {
    const text = `the checkpoint knows heartbeat ${heartbeat.n}, the archive ends with ${String(lastN)}`
    findings.add({ code: 'truncated', severity: 'stale', object: `heartbeat ${heartbeat.n}`, text })
  }
  for (const head of checkpoint.heads) {
    const object = partitionName(head)
    const end = state.ends.get(object)
    if (end !== undefined && BigInt(end.next) >= BigInt(head.next)) continue
    const text = `the checkpoint knows offsets up to ${head.next}, the archive ends at ${end?.next ?? 'none'}`
    findings.add({ code: 'truncated', severity: 'stale', object, offset: end?.next ?? '0', text })
  }
}
