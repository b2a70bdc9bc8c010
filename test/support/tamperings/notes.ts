/**
 * What somebody writes into signed notes: under the signature that was there, under a key of his own, and as the holder of
 * the archive's key, whose notes are valid and yet contradict others that he cannot take back.
 */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { readNoteUnverified, signNote, type NoteSigner } from '../../../core/archive/signed-note.ts'
import {
  checkpointText,
  treeOfHeartbeat,
  type TreeCheckpoint,
} from '../../../core/archive/tree/tree-checkpoint.ts'
import { newSigner } from '../archive-keys.ts'
import { HOLD_KEYS, POLICY_KEY, RECEIPT_KEY } from '../kept-notes.ts'
import type { SmallArchive } from '../small-archive.ts'
import { change, forge, put } from '../tampering.ts'
import { forgeHeartbeat, forgeManifest, type Tampering } from './tampering.ts'

const nobody = newSigner()
const OTHER_HASH = 'ab'.repeat(32)
const [FIRST_HOLD = '', LAST_HOLD = ''] = HOLD_KEYS

function signCheckpoint(tree: TreeCheckpoint, signer: NoteSigner): string {
  return signNote(checkpointText(tree), signer).toString()
}

type Edited<T> = { readonly index: number; readonly edit: T }

function manifest(
  how: string,
  { index, edit }: Edited<Parameters<typeof forgeManifest>[2]['edit']>,
  codes: Tampering['codes'],
): Tampering {
  return {
    how: `${how}, signed anew by the key itself`,
    damage: (a, folder) => forgeManifest(a, folder, { index, edit }),
    ...{ exitCode: 1, codes, object: (a) => a.segment(index).manifest },
  }
}

function heartbeat(
  how: string,
  { index, edit }: Edited<Parameters<typeof forgeHeartbeat>[2]['edit']>,
  codes: Tampering['codes'],
): Tampering {
  return {
    how: `${how}, signed anew by the key itself`,
    damage: (a, folder) => forgeHeartbeat(a, folder, { index, edit }),
    ...{ exitCode: 1, codes, object: (a) => a.heartbeat(index) },
  }
}

const UNDER_ANOTHER_KEY: readonly Tampering[] = [
  ...(
    [
      ['a manifest', (a) => a.segment(1).manifest],
      ['a heartbeat', (a) => a.heartbeat(1)],
      ['genesis', () => 'genesis.note'],
      [POLICY_KEY, () => POLICY_KEY],
      [LAST_HOLD, () => LAST_HOLD],
    ] as const satisfies readonly (readonly [string, Tampering['object']])[]
  ).map(([what, object]): Tampering => ({
    how: `${what} signed again with another key of the same name`,
    damage: (a, folder) => forge(folder, object(a), (text) => text, nobody),
    ...{ exitCode: 1, codes: ['note-invalid', 'manifest-altered'], object },
  })),
  {
    how: 'the receipt of a push signed again with another key of the same name',
    damage: (_archive, folder) => forge(folder, RECEIPT_KEY, (text) => text, nobody),
    ...{ exitCode: 1, codes: ['anchor-forged'], object: () => RECEIPT_KEY },
  },
  {
    how: 'a heartbeat that goes on under another key',
    damage: async (a, folder) => {
      const text = readNoteUnverified(await readFile(path.join(folder, a.heartbeat(-1))))
      await put(folder, nextHeartbeat(a), signNote(text.replace('"n":"3"', '"n":"4"'), nobody))
    },
    ...{ exitCode: 1, codes: ['note-invalid'], object: nextHeartbeat },
  },
  {
    how: 'a second signature that nobody knows',
    damage: async (a, folder) => {
      const text = readNoteUnverified(await readFile(path.join(folder, a.heartbeat(0))))
      const other = signNote(text, nobody)
      const line = other.subarray(other.lastIndexOf('\u2014'))
      await change(folder, a.heartbeat(0), (bytes) => Buffer.concat([bytes, line]))
    },
    ...{ exitCode: 1, codes: ['note-invalid'], object: (a) => a.heartbeat(0) },
  },
]

function nextHeartbeat(archive: SmallArchive): string {
  return archive.heartbeat(-1).replace('000000000003', '000000000004')
}

const UNDER_THE_OLD_SIGNATURE: readonly Tampering[] = [
  {
    how: 'a gap whose reason was forged',
    damage: (a, folder) =>
      forge(folder, a.segment(2).manifest, (text) =>
        text.replace('"gaps":[]', '"gaps":[{"from":"20","reason":"control","to":"20"}]'),
      ),
    ...{ exitCode: 1, codes: ['manifest-altered', 'note-invalid'], object: (a) => a.segment(2).manifest },
  },
  {
    how: 'a heartbeat that was dated back',
    damage: (a, folder) =>
      forge(folder, a.heartbeat(1), (text) => text.replace('"created_at":"2026', '"created_at":"2025')),
    ...{ exitCode: 1, codes: ['note-invalid'], object: (a) => a.heartbeat(1) },
  },
  {
    how: 'a policy that asks for less',
    damage: (_archive, folder) =>
      forge(folder, POLICY_KEY, (text) => text.replace('"period_seconds":864000', '"period_seconds":864')),
    ...{ exitCode: 1, codes: ['note-invalid'], object: () => POLICY_KEY },
  },
]

const MANIFESTS: readonly Tampering[] = [
  manifest(
    'a manifest that a heartbeat names, with another writer',
    { index: 2, edit: (old) => ({ ...old, writer: 'somebody' }) },
    ['manifest-altered'],
  ),
  manifest(
    'a manifest of another archive',
    { index: -1, edit: (old) => ({ ...old, archive_id: 'another' }) },
    ['note-invalid', 'manifest-altered'],
  ),
  manifest(
    'a manifest of the topic made again',
    { index: -1, edit: (old) => ({ ...old, topic_id: 'f'.repeat(32) }) },
    ['manifest-foreign'],
  ),
  manifest(
    'a manifest that names another before it',
    { index: -1, edit: (old) => ({ ...old, previous: OTHER_HASH }) },
    ['manifest-chain'],
  ),
  manifest(
    'a manifest that names the data of another',
    {
      index: -1,
      edit: (old) => ({
        ...old,
        data: old.data && { ...old.data, key: old.data.key.replace(/[0-9]{20}/, '0'.repeat(20)) },
      }),
    },
    ['manifest-chain', 'note-invalid'],
  ),
  manifest(
    'a manifest that has no data any more and the same rows',
    { index: -1, edit: (old) => ({ ...old, data: null }) },
    ['note-invalid'],
  ),
  {
    how: 'a root that was forged, signed anew by the key itself',
    damage: (a, folder) =>
      forgeManifest(a, folder, { index: -1, edit: (old) => ({ ...old, merkle_root: OTHER_HASH }) }),
    ...{ exitCode: 1, codes: ['rows-altered'], offset: '60', object: (a) => a.segment(-1).data },
  },
  {
    how: 'times of a segment that were dated back, signed anew by the key itself',
    damage: (a, folder) =>
      forgeManifest(a, folder, { index: -1, edit: (old) => ({ ...old, min_timestamp_ms: '0' }) }),
    ...{ exitCode: 1, codes: ['rows-altered'], offset: '60', object: (a) => a.segment(-1).data },
  },
  {
    how: 'rows that were declared a gap, signed anew by the key itself',
    damage: (a, folder) =>
      forgeManifest(a, folder, {
        index: -1,
        edit: (old) => ({
          ...old,
          ...{ records: old.records - 1, leaves: old.leaves - 1 },
          gaps: [{ from: '60', to: '60', reason: 'compacted' as const }],
        }),
      }),
    ...{ exitCode: 1, codes: ['rows-altered'], offset: '61', object: (a) => a.segment(-1).data },
  },
]

const HEARTBEATS: readonly Tampering[] = [
  heartbeat(
    'a heartbeat with another tree',
    { index: -1, edit: (old) => ({ ...old, tree_root: OTHER_HASH }) },
    ['heartbeat-tree'],
  ),
  heartbeat(
    'a heartbeat whose tree is larger than what it names',
    { index: -1, edit: (old) => ({ ...old, tree_size: '7' }) },
    ['heartbeat-tree'],
  ),
  heartbeat(
    'a heartbeat that leaves a manifest out',
    { index: -1, edit: (old) => ({ ...old, manifests: [] }) },
    ['heartbeat-tree'],
  ),
  heartbeat(
    'a heartbeat that names its manifests in another order',
    { index: 2, edit: (old) => ({ ...old, manifests: old.manifests.toReversed() }) },
    ['heartbeat-tree'],
  ),
  heartbeat(
    'a heartbeat with another table of partitions',
    { index: -1, edit: (old) => ({ ...old, partition_root: OTHER_HASH }) },
    ['partition-table'],
  ),
  heartbeat(
    'a heartbeat that says less of a partition',
    {
      index: -1,
      edit: (old) => ({ ...old, partitions: old.partitions.map((row) => ({ ...row, to: row.from })) }),
    },
    ['partition-table'],
  ),
  heartbeat(
    'a heartbeat that leaves a partition out',
    { index: -1, edit: (old) => ({ ...old, partitions: old.partitions.slice(1) }) },
    ['partition-table'],
  ),
  heartbeat(
    'a heartbeat that follows another one',
    { index: -1, edit: (old) => ({ ...old, previous: OTHER_HASH }) },
    ['heartbeat-chain'],
  ),
  heartbeat('a heartbeat of another number', { index: -1, edit: (old) => ({ ...old, n: '7' }) }, [
    'heartbeat-chain',
  ]),
  heartbeat(
    'a heartbeat of another archive',
    { index: -1, edit: (old) => ({ ...old, archive_id: 'another' }) },
    ['note-invalid', 'heartbeat-chain'],
  ),
  heartbeat(
    'a heartbeat that was dated before the one that it follows',
    { index: -1, edit: (old) => ({ ...old, created_at: '2026-01-01T00:00:01.000Z' }) },
    ['heartbeat-chain'],
  ),
  {
    how: 'a checkpoint of another tree in a heartbeat',
    damage: (a, folder) =>
      forgeHeartbeat(a, folder, {
        index: -1,
        edit: (old) => ({
          ...old,
          checkpoint: signCheckpoint({ ...treeOfHeartbeat(old), root: OTHER_HASH }, a.builder.signer),
        }),
      }),
    ...{ exitCode: 1, codes: ['heartbeat-tree'], object: (a) => a.heartbeat(-1) },
  },
  {
    how: 'a checkpoint that somebody else signed in a heartbeat',
    damage: (a, folder) =>
      forgeHeartbeat(a, folder, {
        index: -1,
        edit: (old) => ({ ...old, checkpoint: signCheckpoint(treeOfHeartbeat(old), nobody) }),
      }),
    ...{ exitCode: 1, codes: ['note-invalid'], object: (a) => a.heartbeat(-1) },
  },
  {
    how: 'an anchor that a heartbeat names and that is not there',
    damage: (a, folder) =>
      forgeHeartbeat(a, folder, {
        index: -1,
        edit: (old) => ({ ...old, anchors: [{ key: 'anchors/none', sha256: OTHER_HASH }] }),
      }),
    ...{ exitCode: 1, codes: ['anchor-forged'], object: () => 'anchors/none' },
  },
]

const AGREEMENTS: readonly Tampering[] = [
  {
    how: 'a genesis of another time, signed anew by the key itself',
    damage: (a, folder) =>
      forge(
        folder,
        'genesis.note',
        (text) => text.replace('"created_at":"2026', '"created_at":"2025'),
        a.builder.signer,
      ),
    ...{ exitCode: 1, codes: ['heartbeat-chain'], object: (a) => a.heartbeat(0) },
  },
  ...[POLICY_KEY, LAST_HOLD, FIRST_HOLD].map((key): Tampering => ({
    how: `${key} exchanged, signed anew by the key itself`,
    damage: (a, folder) => forge(folder, key, (text) => text.replace('"test"', '"tesu"'), a.builder.signer),
    // The first is told by the one that follows it, the last by the heartbeat.
    ...{ exitCode: 1, codes: ['note-chain'], object: () => (key === FIRST_HOLD ? LAST_HOLD : key) },
  })),
  {
    how: 'a receipt that belongs to another heartbeat',
    damage: async (_archive, folder) =>
      put(
        folder,
        RECEIPT_KEY.replace('000000000001', '000000000002'),
        await readFile(path.join(folder, RECEIPT_KEY)),
      ),
    ...{
      exitCode: 1,
      codes: ['anchor-forged'],
      object: () => RECEIPT_KEY.replace('000000000001', '000000000002'),
    },
  },
  {
    how: 'an anchor of a heartbeat that there never was',
    damage: (_archive, folder) => put(folder, RECEIPT_KEY.replace('000000000001', '000000000009'), 'x'),
    ...{
      exitCode: 1,
      codes: ['foreign'],
      object: () => RECEIPT_KEY.replace('000000000001', '000000000009'),
    },
  },
  {
    how: 'a probe of the lock that is long past',
    damage: (a, folder) =>
      forge(
        folder,
        a.heartbeat(-1),
        (text) => text.replace('"checked_at":"2026-01-01', '"checked_at":"2025-12-20'),
        a.builder.signer,
      ),
    ...{ exitCode: 4, codes: ['worm-not-in-force'], object: () => 'heartbeat 3' },
  },
  {
    how: 'a lock that the last probe did not prove',
    damage: (a, folder) =>
      forge(
        folder,
        a.heartbeat(-1),
        (text) => text.replace('"result":"pass"', '"result":"unproven"'),
        a.builder.signer,
      ),
    ...{ exitCode: 4, codes: ['worm-not-in-force'], object: () => 'heartbeat 3' },
  },
  {
    how: 'a policy that a heartbeat names and that there never was',
    damage: (a, folder) =>
      forge(
        folder,
        a.heartbeat(-1),
        (text) => text.replace('"policy":{"n":"0"', '"policy":{"n":"1"'),
        a.builder.signer,
      ),
    ...{ exitCode: 1, codes: ['note-missing'], object: () => 'policy/000000000001.note' },
  },
]

export const NOTE_TAMPERINGS: readonly Tampering[] = [
  ...UNDER_ANOTHER_KEY,
  ...UNDER_THE_OLD_SIGNATURE,
  ...MANIFESTS,
  ...HEARTBEATS,
  ...AGREEMENTS,
]
