/**
 * Every way in which somebody who can write an archive's folder may damage, shorten, extend or forge it, with the exit code
 * and the object that a verifier must name.
 */
import { chmod, readFile, truncate, utimes, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { readNoteUnverified, signNote } from '../../core/archive/signed-note.ts'
import { newSigner } from './archive-builder.ts'
import { ROUNDS, type SmallArchive } from './small-archive.ts'
import { change, flipped, forge, put, remove, swap } from './tampering.ts'
import type { JudgeRequest } from './two-verifiers.ts'

export interface Tampering {
  readonly how: string
  readonly damage: (archive: SmallArchive, folder: string) => Promise<void>
  readonly exitCode: number
  /** What must be named. */
  readonly object: (archive: SmallArchive) => string
  readonly options?: (archive: SmallArchive) => Partial<JudgeRequest>
}

const kept = ({ checkpoint }: SmallArchive): Partial<JudgeRequest> => ({ checkpoint })
/** Long after the next heartbeat was due. */
const late = ({ builder }: SmallArchive): Partial<JudgeRequest> => ({ nowMs: builder.nowMs + 2 * 900_000 })

export const TAMPERINGS: readonly Tampering[] = [
  ...(['data', 'manifest'] as const).flatMap((kind): Tampering[] => [
    {
      how: `a flipped bit in a ${kind}`,
      damage: (a, folder) => change(folder, a.segment(1)[kind], (bytes) => flipped(bytes, 0.5)),
      exitCode: 1,
      object: (a) => a.segment(1)[kind],
    },
    {
      how: `a ${kind} without its end`,
      damage: async (a, folder) => {
        await chmod(path.join(folder, a.segment(1)[kind]), 0o644)
        await truncate(path.join(folder, a.segment(1)[kind]), 40)
      },
      exitCode: 1,
      object: (a) => a.segment(1)[kind],
    },
    {
      how: `an empty ${kind}`,
      damage: (a, folder) => change(folder, a.segment(2)[kind], () => Buffer.alloc(0)),
      exitCode: 1,
      object: (a) => a.segment(2)[kind],
    },
    {
      how: `a ${kind} with bytes behind its end`,
      damage: (a, folder) =>
        change(folder, a.segment(2)[kind], (bytes) => Buffer.concat([bytes, Buffer.from('x')])),
      exitCode: 1,
      object: (a) => a.segment(2)[kind],
    },
    {
      how: `a ${kind} that is missing`,
      damage: (a, folder) => remove(folder, [a.segment(2)[kind]]),
      exitCode: 1,
      object: (a) => a.segment(2)[kind],
    },
    {
      how: `two ${kind}s that changed places`,
      damage: (a, folder) => swap(folder, a.segment(0)[kind], a.segment(2)[kind]),
      exitCode: 1,
      object: (a) => a.segment(2)[kind],
    },
    {
      how: `the ${kind}s of the tail cut alone`,
      damage: (a, folder) => remove(folder, a.tail(2)[kind === 'data' ? 'data' : 'manifests']),
      exitCode: 1,
      object: (a) => a.segment(-1)[kind],
    },
  ]),
  {
    how: 'a heartbeat that is missing',
    damage: (a, folder) => remove(folder, [a.heartbeat(1)]),
    exitCode: 1,
    object: (a) => a.heartbeat(1),
  },
  {
    how: 'two heartbeats that changed places',
    damage: (a, folder) => swap(folder, a.heartbeat(1), a.heartbeat(2)),
    exitCode: 1,
    object: (a) => a.heartbeat(1),
  },
  {
    how: 'a missing genesis',
    damage: (_archive, folder) => remove(folder, ['genesis.note']),
    exitCode: 1,
    object: () => 'genesis.note',
  },
  {
    how: 'an altered README',
    damage: (_archive, folder) => change(folder, 'README.txt', (bytes) => flipped(bytes, 0.2)),
    exitCode: 1,
    object: () => 'README.txt',
  },
  ...[
    'notes.txt',
    'tools/0.0.0/hooktrail_verify.py',
    'heartbeats/extra.note',
    'heartbeats/00000001/000000000001.note',
    'segments/odd name/x.note',
    'data/topic=.x/dt=2026-01-01/hour=00/0a1b2c3d-p00000-00000000000000000000.jsonl.zst',
    'data/topic=hooktrail.events.demo/x.parquet',
    'data/.hidden',
  ].map((key): Tampering => ({
    how: `an object that does not belong: ${key}`,
    damage: (_archive, folder) => put(folder, key, 'x'),
    exitCode: 1,
    object: () => key,
  })),
  {
    how: 'an object whose name is no text',
    damage: (_archive, folder) => writeFile(Buffer.from(`${folder}/data/\xff.parquet`, 'latin1'), 'x'),
    exitCode: 1,
    object: () => 'data/\ufffd.parquet',
  },
  {
    how: 'a note that was made larger than any note',
    damage: async (a, folder) => {
      await chmod(path.join(folder, a.heartbeat(1)), 0o644)
      await truncate(path.join(folder, a.heartbeat(1)), 64 * 1024 * 1024 + 1)
    },
    exitCode: 1,
    object: (a) => a.heartbeat(1),
  },
  {
    how: 'the same rows once more at another start',
    damage: async (a, folder) => {
      const bytes = await readFile(path.join(folder, a.segment(0).data))
      await put(folder, a.segment(0).data.replace(/[0-9]{20}/, '00000000000000000005'), bytes)
    },
    exitCode: 1,
    object: (a) => a.segment(0).data.replace(/[0-9]{20}/, '00000000000000000005'),
  },
  {
    how: 'the same rows once more in another format',
    damage: async (a, folder) => put(folder, a.segment(0).data.replace('jsonl.zst', 'parquet'), 'x'),
    exitCode: 1,
    object: (a) => a.segment(0).data.replace('jsonl.zst', 'parquet'),
  },
  {
    how: 'a true manifest once more under another name',
    damage: async (a, folder) => {
      const bytes = await readFile(path.join(folder, a.segment(0).manifest))
      await put(folder, a.segment(0).manifest.replace(/[0-9]{20}/, '00000000000000000003'), bytes)
    },
    exitCode: 1,
    object: (a) => a.segment(0).manifest.replace(/[0-9]{20}/, '00000000000000000003'),
  },
  {
    how: 'a manifest signed again with another key of the same name',
    damage: (a, folder) => forge(folder, a.segment(1).manifest, (text) => text, newSigner()),
    exitCode: 1,
    object: (a) => a.segment(1).manifest,
  },
  {
    how: 'a gap whose reason was forged',
    damage: (a, folder) =>
      forge(folder, a.segment(2).manifest, (text) =>
        text.replace('"gaps":[]', '"gaps":[{"from":"20","reason":"control","to":"20"}]'),
      ),
    exitCode: 1,
    object: (a) => a.segment(2).manifest,
  },
  {
    how: 'a gap that the key itself signed again, in a manifest that is witnessed',
    damage: (a, folder) =>
      forge(
        folder,
        a.segment(2).manifest,
        (text) => text.replace('"writer":"test"', '"writer":"tesu"'),
        a.builder.signer,
      ),
    exitCode: 1,
    object: (a) => a.segment(2).manifest,
  },
  {
    how: 'a heartbeat that was forged under another key',
    damage: async (a, folder) => {
      const text = readNoteUnverified(await readFile(path.join(folder, a.heartbeat(-1))))
      const next = text.replace(`"n":"${String(ROUNDS - 1)}"`, `"n":"${String(ROUNDS)}"`)
      await put(
        folder,
        a.heartbeat(-1).replace(/[0-9]{12}/, String(ROUNDS).padStart(12, '0')),
        signNote(next, newSigner()),
      )
    },
    exitCode: 1,
    object: (a) => a.heartbeat(-1).replace(/[0-9]{12}/, String(ROUNDS).padStart(12, '0')),
  },
  {
    how: 'a heartbeat that was dated back under its old signature',
    damage: (a, folder) =>
      forge(folder, a.heartbeat(1), (text) => text.replace(/"created_at":"2026/, '"created_at":"2025')),
    exitCode: 1,
    object: (a) => a.heartbeat(1),
  },
  {
    how: 'a heartbeat whose file is older than its time of signing',
    damage: (a, folder) => utimes(path.join(folder, a.heartbeat(1)), 1_000_000_000, 1_000_000_000),
    exitCode: 0,
    object: (a) => a.heartbeat(1),
  },
  {
    how: 'a manifest of another archive under the same key',
    damage: (a, folder) =>
      forge(
        folder,
        a.segment(-1).manifest,
        (text) => text.replace('"test-archive"', '"the-archive"'),
        a.builder.signer,
      ),
    exitCode: 1,
    object: (a) => a.segment(-1).manifest,
  },
  {
    how: 'a second signature that nobody knows',
    damage: async (a, folder) => {
      const other = signNote(
        readNoteUnverified(await readFile(path.join(folder, a.heartbeat(0)))),
        newSigner(),
      )
      await change(folder, a.heartbeat(0), (bytes) =>
        Buffer.concat([bytes, other.subarray(other.lastIndexOf('\u2014'))]),
      )
    },
    exitCode: 1,
    object: (a) => a.heartbeat(0),
  },
  {
    how: 'the last objects rolled back together, with a checkpoint',
    damage: (a, folder) => remove(folder, Object.values(a.tail(2)).flat()),
    exitCode: 3,
    object: () => `heartbeat ${String(ROUNDS - 1)}`,
    options: kept,
  },
  {
    how: 'the last objects rolled back together, once the cadence has passed',
    damage: (a, folder) => remove(folder, Object.values(a.tail(2)).flat()),
    exitCode: 3,
    object: () => `heartbeat ${String(ROUNDS - 3)}`,
    options: late,
  },
  {
    how: 'the last heartbeats cut alone, with a checkpoint',
    damage: (a, folder) => remove(folder, a.tail(1).heartbeats),
    exitCode: 3,
    object: () => `heartbeat ${String(ROUNDS - 1)}`,
    options: kept,
  },
  {
    how: 'a checkpoint of another archive',
    damage: () => Promise.resolve(),
    exitCode: 1,
    object: () => 'genesis.note',
    options: ({ checkpoint }) => ({ checkpoint: { ...checkpoint, archive_id: 'other' } }),
  },
  {
    how: 'data that waits for its manifest at the end of its chain',
    damage: (a, folder) => remove(folder, [a.segment(-1).manifest, a.heartbeat(-1)]),
    exitCode: 0,
    object: (a) => a.segment(-1).data,
  },
]
