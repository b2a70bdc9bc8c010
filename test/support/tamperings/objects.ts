/** What somebody does to whole objects without reading them: bytes, lengths, places, and names that do not belong. */
import { mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { SEGMENT_FORMATS } from '../../../core/archive/manifest.ts'
import type { FindingCode } from '../../../core/archive/verify/finding.ts'
import { HOLD_KEYS, POLICY_KEY, RECEIPT_KEY, TOOL_KEY } from '../kept-notes.ts'
import type { SmallArchive } from '../small-archive.ts'
import { change, flipped, grow, put, remove, swap } from '../tampering.ts'
import { BYTES, type Tampering } from './tampering.ts'

interface Victim {
  readonly what: string
  readonly key: (archive: SmallArchive) => string
  readonly altered: readonly FindingCode[]
  readonly missing: readonly FindingCode[]
}

/** One of each kind of object, in the midst of its chain where it has one. */
const VICTIMS: readonly Victim[] = [
  { what: 'a data object', key: (a) => a.segment(2).data, altered: BYTES, missing: ['data-missing'] },
  {
    what: 'a manifest',
    key: (a) => a.segment(2).manifest,
    altered: ['note-invalid', 'manifest-altered'],
    missing: ['manifest-missing'],
  },
  {
    what: 'a heartbeat',
    key: (a) => a.heartbeat(1),
    altered: ['note-invalid'],
    missing: ['heartbeat-missing'],
  },
  {
    what: 'genesis',
    key: () => 'genesis.note',
    altered: ['note-invalid'],
    missing: ['genesis-missing'],
  },
  ...['README.txt', 'formats.md', TOOL_KEY].map((key): Victim => ({
    ...{ what: key, key: () => key, altered: ['file-altered'], missing: ['file-altered'] },
  })),
  ...[POLICY_KEY, ...HOLD_KEYS].map((key): Victim => ({
    ...{ what: key, key: () => key, altered: ['note-invalid'], missing: ['note-missing'] },
  })),
  {
    what: 'the receipt of a push',
    key: () => RECEIPT_KEY,
    altered: ['anchor-forged'],
    missing: ['anchor-forged'],
  },
]

const NOTE_BYTES_MAX = 64 * 1024 * 1024
const HUGE_BYTES = 8 * 1024 * 1024

function spoilt({ what, key, altered, missing }: Victim): readonly Tampering[] {
  const change1 = (how: string, edit: (bytes: Buffer) => Buffer): Tampering => ({
    ...{ how: `${how} ${what}`, exitCode: 1, codes: altered, object: key },
    damage: (a, folder) => change(folder, key(a), edit),
  })
  return [
    change1('a flipped bit in', (bytes) => flipped(bytes, 0.5)),
    change1('a cut end of', (bytes) => bytes.subarray(0, -7)),
    change1('nothing left of', () => Buffer.alloc(0)),
    change1('a byte behind the end of', (bytes) => Buffer.concat([bytes, Buffer.from('x')])),
    {
      ...{ how: `a removal of ${what}`, exitCode: 1, codes: missing, object: key },
      damage: (a, folder) => remove(folder, [key(a)]),
    },
  ]
}

const SWAPS: readonly Tampering[] = [
  {
    how: 'two data objects that changed places',
    damage: (a, folder) => swap(folder, a.segment(0).data, a.segment(2).data),
    ...{ exitCode: 1, codes: BYTES, object: (a) => a.segment(2).data },
  },
  {
    how: 'two manifests that changed places',
    damage: (a, folder) => swap(folder, a.segment(0).manifest, a.segment(2).manifest),
    ...{ exitCode: 1, codes: ['manifest-altered'], object: (a) => a.segment(2).manifest },
  },
  {
    how: 'two heartbeats that changed places',
    damage: (a, folder) => swap(folder, a.heartbeat(1), a.heartbeat(2)),
    ...{ exitCode: 1, codes: ['heartbeat-chain'], object: (a) => a.heartbeat(1) },
  },
  {
    how: 'two holds that changed places',
    damage: (_archive, folder) => swap(folder, HOLD_KEYS[0] ?? '', HOLD_KEYS[1] ?? ''),
    ...{ exitCode: 1, codes: ['note-chain'], object: () => HOLD_KEYS[0] ?? '' },
  },
]

/** Under a name that no object has, with nothing that is signed. */
const FOREIGN: readonly Tampering[] = [
  ...['notes.txt', 'genesis2.note', 'tools/0.0.1/hooktrail_verify.py', 'keys/0.note'],
  ...['heartbeats/extra.note', 'heartbeats/00000001/000000000001.note', 'policy/1.note'],
  ...['segments/odd name/x.note', 'anchors/readme', 'tlog/checkpoint', 'tlog/tile/0/000'],
  ...['data/.hidden', 'data/topic=hooktrail.events.demo/x.parquet'],
].map((key) => ({
  how: `an object that does not belong: ${key}`,
  damage: (_archive, folder) => put(folder, key, 'x'),
  ...{ exitCode: 1, codes: ['foreign'], object: () => key },
}))

const UNSIGNED_KEY: Tampering = {
  how: 'a key that nobody signed',
  damage: (_archive, folder) => put(folder, 'keys/000000000000.note', 'x'),
  ...{ exitCode: 1, codes: ['note-invalid'], object: () => 'keys/000000000000.note' },
}

/** @param to the new name of an object that is there */
function renamed(how: string, of: (a: SmallArchive) => string, to: (key: string) => string): Tampering {
  return {
    ...{ how, exitCode: 1, codes: ['foreign', 'orphan', 'manifest-foreign', 'heartbeat-chain'] },
    object: (a) => to(of(a)),
    damage: async (a, folder) => {
      await mkdir(path.join(folder, path.dirname(to(of(a)))), { recursive: true })
      await rename(path.join(folder, of(a)), path.join(folder, to(of(a))))
    },
  }
}

function copied(how: string, of: (a: SmallArchive) => string, to: (key: string) => string): Tampering {
  return {
    ...renamed(how, of, to),
    damage: async (a, folder) => put(folder, to(of(a)), await readFile(path.join(folder, of(a)))),
  }
}

const START = /[0-9]{20}/
const NAMES: readonly Tampering[] = [
  renamed(
    'a manifest whose partition is written large',
    (a) => a.segment(2).manifest,
    (key) => key.replace('/p00000/', '/P00000/'),
  ),
  renamed(
    'a manifest whose start has fewer noughts',
    (a) => a.segment(2).manifest,
    (key) => key.replace(START, '20'),
  ),
  renamed(
    'a heartbeat whose number has fewer noughts',
    (a) => a.heartbeat(1),
    (key) => key.replace(/[0-9]{12}/, '1'),
  ),
  renamed(
    'a data object in the folder of another hour',
    (a) => a.segment(2).data,
    (key) => key.replace('hour=00', 'hour=01'),
  ),
  copied(
    'the same rows once more at another start',
    (a) => a.segment(0).data,
    (key) => key.replace(START, '00000000000000000005'),
  ),
  copied(
    'a true manifest once more under another name',
    (a) => a.segment(0).manifest,
    (key) => key.replace(START, '00000000000000000003'),
  ),
  copied(
    'the last heartbeat once more as the next one',
    (a) => a.heartbeat(-1),
    (key) => key.replace(/[0-9]{12}/, '000000000099'),
  ),
]

const ODD: readonly Tampering[] = [
  {
    how: 'an object whose name is no text',
    damage: (_archive, folder) => writeFile(Buffer.from(`${folder}/data/\xff.parquet`, 'latin1'), 'x'),
    ...{ exitCode: 1, codes: ['foreign', 'not-a-file'], object: () => 'data/\ufffd.parquet' },
  },
  {
    how: 'a note that was made larger than any note',
    damage: (a, folder) => grow(folder, a.heartbeat(1), NOTE_BYTES_MAX + 1),
    ...{ exitCode: 1, codes: ['note-invalid'], object: (a) => a.heartbeat(1) },
  },
  {
    how: 'a data object that goes on in noughts',
    damage: (a, folder) => grow(folder, a.segment(2).data, HUGE_BYTES),
    ...{ exitCode: 1, codes: BYTES, object: (a) => a.segment(2).data },
  },
  {
    how: 'a symlink to the true bytes in the place of a data object',
    damage: async (a, folder) => {
      await remove(folder, [a.segment(2).data])
      await symlink(path.join(a.folder, a.segment(2).data), path.join(folder, a.segment(2).data))
    },
    ...{ exitCode: 1, codes: ['not-a-file'], object: (a) => a.segment(2).data },
  },
  {
    how: 'a folder in the place of a manifest',
    damage: async (a, folder) => {
      await remove(folder, [a.segment(2).manifest])
      await mkdir(path.join(folder, a.segment(2).manifest))
    },
    ...{ exitCode: 1, codes: ['not-a-file'], object: (a) => a.segment(2).manifest },
  },
  {
    how: 'what the probe of the lock left',
    damage: (_archive, folder) => put(folder, 'probe/x/locked', 'x'),
    ...{ exitCode: 0, codes: ['lock-not-witnessed'], object: () => 'genesis.note' },
  },
  {
    how: 'the same rows once more in another format',
    damage: (a, folder) => put(folder, otherFormat(a), 'x'),
    ...{ exitCode: 1, codes: ['orphan'], object: otherFormat },
  },
  {
    how: 'data that another format has under the same root, in place of the true one',
    damage: async (a, folder) => {
      await put(folder, otherFormat(a), await readFile(path.join(folder, a.segment(0).data)))
      await rm(path.join(folder, a.segment(0).data))
    },
    ...{ exitCode: 1, codes: ['data-missing'], object: (a) => a.segment(0).data },
  },
]

function otherFormat(archive: SmallArchive): string {
  const other = SEGMENT_FORMATS.find((format) => format !== archive.format) ?? ''
  return archive.segment(0).data.replace(`.${archive.format}`, `.${other}`)
}

export const OBJECT_TAMPERINGS: readonly Tampering[] = [
  ...VICTIMS.flatMap(spoilt),
  ...SWAPS,
  ...FOREIGN,
  UNSIGNED_KEY,
  ...NAMES,
  ...ODD,
]
