/** What somebody cuts off or puts in place of an end, so that what is left is a true archive by itself; and what time alone does. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { EMPTY_ROOT } from '../../../core/archive/merkle.ts'
import { readNoteUnverified, signNote } from '../../../core/archive/signed-note.ts'
import type { GapReason } from '../../../core/gap-reason.ts'
import { newSigner } from '../archive-keys.ts'
import { ARCHIVE_START_MS } from '../archive-records.ts'
import { UNTIL_MS } from '../kept-notes.ts'
import { ROUNDS, SmallArchive } from '../small-archive.ts'
import { dateBack, put, remove } from '../tampering.ts'
import { forgeManifest, kept, late, type Tampering } from './tampering.ts'

/** Of the rounds that a second history under the same key shares with the first. */
const ROUNDS_SHARED = 2
const SEGMENTS_SHARED = 3
const LAST = `heartbeat ${String(ROUNDS - 1)}`
const UNTOUCHED = (): Promise<void> => Promise.resolve()
const cutTail = (rounds: number): Tampering['damage'] => {
  return (a, folder) => remove(folder, Object.values(a.tail(rounds)).flat())
}
/** Of partition 0, and of partition 1, which is held. */
const free = (archive: SmallArchive): string => archive.segment(0).data
const held = (archive: SmallArchive): string => archive.segment(1).data

const CUTS: readonly Tampering[] = [
  {
    how: 'the last objects rolled back together, with a checkpoint',
    damage: cutTail(2),
    ...{ exitCode: 3, codes: ['truncated'], object: () => LAST, options: kept },
  },
  {
    how: 'the last objects rolled back together, once the cadence has passed',
    damage: cutTail(2),
    ...{ exitCode: 3, codes: ['stale'], object: () => `heartbeat ${String(ROUNDS - 3)}`, options: late },
  },
  {
    how: 'the last objects rolled back together, for somebody who has no key',
    damage: cutTail(2),
    ...{ exitCode: 3, codes: ['stale'], object: () => `heartbeat ${String(ROUNDS - 3)}` },
    options: (a) => ({ ...late(a), keys: null }),
  },
  {
    how: 'the last heartbeats cut alone, with a checkpoint',
    damage: (a, folder) => remove(folder, a.tail(1).heartbeats),
    ...{ exitCode: 3, codes: ['truncated'], object: () => LAST, options: kept },
  },
  {
    how: 'the last heartbeats cut alone, which leaves manifests that nobody witnessed',
    damage: (a, folder) => remove(folder, a.tail(2).heartbeats),
    ...{ exitCode: 0, codes: ['unwitnessed'], object: () => `heartbeat ${String(ROUNDS - 3)}` },
  },
  {
    how: 'the data of the tail cut alone',
    damage: (a, folder) => remove(folder, a.tail(2).data),
    ...{ exitCode: 1, codes: ['data-missing'], object: (a) => a.segment(-1).data },
  },
  {
    how: 'the manifests of the tail cut alone',
    damage: (a, folder) => remove(folder, a.tail(2).manifests),
    ...{ exitCode: 1, codes: ['manifest-missing'], object: (a) => a.segment(-1).manifest },
  },
  {
    how: 'the manifests of the tail cut with their heartbeats',
    damage: (a, folder) => remove(folder, [...a.tail(2).manifests, ...a.tail(2).heartbeats]),
    ...{ exitCode: 1, codes: ['orphan'], object: (a) => a.segment(-1).data },
  },
  {
    how: 'all of a partition gone',
    damage: (a, folder) =>
      remove(
        folder,
        a.segments
          .filter(({ data }) => data.includes('-p00001-'))
          .flatMap(({ data, manifest }) => [data, manifest]),
      ),
    ...{ exitCode: 1, codes: ['manifest-missing'], object: (a) => a.segment(1).manifest },
  },
  {
    how: 'all heartbeats gone, and the manifests of a partition',
    damage: (a, folder) =>
      remove(folder, [
        ...a.heartbeats,
        ...a.segments.map(({ manifest }) => manifest).filter((key) => key.includes('p00001')),
      ]),
    ...{ exitCode: 1, codes: ['orphan'], object: (a) => a.segment(4).data },
  },
  {
    how: 'data that waits for its manifest at the end of its chain',
    damage: (a, folder) => remove(folder, [a.segment(-1).manifest, a.heartbeat(-1)]),
    ...{ exitCode: 0, codes: ['orphan'], object: (a) => a.segment(-1).data },
  },
]

/** Another history of the same archive. */
async function replaceSuffix(archive: SmallArchive, folder: string, isOwn: boolean): Promise<void> {
  const { signer } = archive.builder
  await using second = await SmallArchive.make({
    ...{ isKept: true, format: archive.format, signer: isOwn ? signer : newSigner() },
    records: (round) => (round < ROUNDS_SHARED ? 20 : 19),
  })
  await cutTail(ROUNDS - ROUNDS_SHARED)(archive, folder)
  const suffix = [
    ...second.segments.slice(SEGMENTS_SHARED).flatMap(({ manifest, data }) => [manifest, data]),
    ...second.heartbeats.slice(ROUNDS_SHARED),
  ]
  for (const key of suffix) await put(folder, key, await readFile(path.join(second.folder, key)))
}

const REPLACED: readonly Tampering[] = [
  {
    how: 'a suffix that was replaced under another key',
    damage: (a, folder) => replaceSuffix(a, folder, false),
    ...{ exitCode: 1, codes: ['note-invalid'], object: (a) => a.heartbeat(-1) },
  },
  {
    how: 'a suffix that was replaced under the own key, with a checkpoint',
    damage: (a, folder) => replaceSuffix(a, folder, true),
    ...{ exitCode: 1, codes: ['checkpoint-contradicted'], object: () => LAST, options: kept },
  },
  {
    how: 'a suffix that was replaced under the own key, which only a checkpoint or an anchor tells',
    damage: (a, folder) => replaceSuffix(a, folder, true),
    ...{ exitCode: 0, codes: ['lock-not-witnessed'], object: () => 'genesis.note' },
  },
  {
    how: 'a checkpoint of another archive',
    damage: UNTOUCHED,
    ...{ exitCode: 1, codes: ['checkpoint-contradicted'], object: () => 'genesis.note' },
    options: ({ checkpoint }) => ({ checkpoint: { ...checkpoint, archive_id: 'other' } }),
  },
  {
    how: 'the topic made again under another key',
    damage: (a, folder) => again(a, folder, newSigner()),
    ...{ exitCode: 1, codes: ['note-invalid'], object: againKey },
  },
  {
    how: 'the topic made again, whose chain does not begin at its start',
    damage: (a, folder) => again(a, folder, a.builder.signer),
    ...{ exitCode: 1, codes: ['manifest-missing'], object: againKey },
  },
]

const AGAIN_ID = 'f0'.repeat(16)

function againKey(archive: SmallArchive): string {
  return archive.segment(2).manifest.replace('/0a1b2c3d/', `/${AGAIN_ID.slice(0, 8)}/`)
}

async function again(
  archive: SmallArchive,
  folder: string,
  signer: SmallArchive['builder']['signer'],
): Promise<void> {
  const text = readNoteUnverified(await readFile(path.join(folder, archive.segment(2).manifest)))
  const forged = text
    .replace(/"topic_id":"[0-9a-f]{32}"/, `"topic_id":"${AGAIN_ID}"`)
    .replace('/0a1b2c3d-', `/${AGAIN_ID.slice(0, 8)}-`)
  await put(folder, againKey(archive), signNote(forged, signer))
}

/** The newest segment has no records, and says why. */
function declare(reason: GapReason): Tampering['damage'] {
  const none = { records: 0, leaves: 0, raw_bytes: '0', data: null, retention: null }
  const times = { min_timestamp_ms: null, max_timestamp_ms: null }
  return async (a, folder) => {
    await remove(folder, [a.heartbeat(-1), a.segment(-1).data])
    await forgeManifest(a, folder, {
      index: -1,
      edit: (old) => ({
        ...{ ...old, ...none, ...times, merkle_root: EMPTY_ROOT.toString('hex') },
        gaps: [{ from: old.first, to: old.last, reason }],
      }),
    })
  }
}

const LOSSES = (['retention-loss', 'hole', 'topic-deleted', 'log-travelled-back'] as const).map(
  (reason): Tampering => ({
    ...{ how: `a loss that is declared: ${reason}`, damage: declare(reason), exitCode: 2 },
    ...{ codes: ['gap-declared'], offset: '60', object: (a) => a.segment(-1).manifest },
  }),
)

const HOUSEKEEPING: readonly Tampering[] = [
  {
    ...{ how: 'a gap that is housekeeping: compacted', damage: declare('compacted'), exitCode: 0 },
    ...{ codes: ['unwitnessed'], object: () => `heartbeat ${String(ROUNDS - 2)}` },
  },
  // A running root was signed over records there: that there never were any is not true.
  ...(['control', 'aborted'] as const).map((reason): Tampering => ({
    ...{ how: `records that were signed, told as ${reason}`, damage: declare(reason), exitCode: 1 },
    ...{ codes: ['running-contradicted'], offset: '60', object: (a) => a.segment(-1).manifest },
  })),
]

const TIMES: readonly Tampering[] = [
  {
    how: 'a heartbeat whose file is older than its time of signing',
    damage: (a, folder) => dateBack(folder, a.heartbeat(1)),
    ...{ exitCode: 0, codes: ['time-not-witnessed'], object: (a) => a.heartbeat(1) },
  },
  {
    how: 'a heartbeat that is late by genesis and not by the policy',
    damage: UNTOUCHED,
    ...{ exitCode: 0, codes: ['lock-not-witnessed'], object: () => 'genesis.note' },
    options: () => ({ nowMs: ARCHIVE_START_MS + 2 * 3_600_000 }),
  },
  {
    how: 'data that is gone after its time',
    damage: (a, folder) => remove(folder, [free(a)]),
    // Much later the archive is stale, too; that the data is gone is no fault any more.
    ...{ exitCode: 3, codes: ['expired'], object: free, options: () => ({ nowMs: UNTIL_MS + 1000 }) },
  },
  {
    how: 'data that is gone after its time, and was held',
    damage: (a, folder) => remove(folder, [held(a)]),
    ...{ exitCode: 1, codes: ['data-missing'], object: held, options: () => ({ nowMs: UNTIL_MS + 1000 }) },
  },
]

export const END_TAMPERINGS: readonly Tampering[] = [
  ...CUTS,
  ...REPLACED,
  ...LOSSES,
  ...HOUSEKEEPING,
  ...TIMES,
]
