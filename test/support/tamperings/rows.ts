/**
 * What somebody does to single rows: without the key, when the data object alone gives him away, and with it, when he signs
 * the manifest anew for the bytes that he wrote and only leaves, offsets and times are left to tell.
 */
import { hash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { readRows } from '../../../core/archive/data-rows.ts'
import { encodeRows } from '../archive-records.ts'
import { decodeRow } from '../../../core/archive/row.ts'
import type { SmallArchive } from '../small-archive.ts'
import { change } from '../tampering.ts'
import { forgeManifest, type Tampering } from './tampering.ts'

/** Offsets 40 to 59 of partition 0. */
const SEGMENT = 3
const FIRST = '40'
/** Of offset 47. */
const ROW = 7

type Row = Readonly<Record<string, unknown>>

export const ROW_TAMPERINGS: readonly Tampering[] = [
  {
    how: 'a row that was edited, with the format written anew and the manifest as it was',
    damage: (a, folder) => writeRows(a, folder, { edit: editOne({ value: 'forged' }), isSigned: false }),
    ...{ exitCode: 1, codes: ['data-altered'], object: (a) => a.segment(SEGMENT).data },
  },
  signed('a value that was edited', editOne({ value: 'forged' })),
  signed('a key that was edited', editOne({ key: 'forged' })),
  signed('a key that was taken away', editOne({ key: null })),
  signed('a header that was edited', editOne({ headers: [['ce_id', 'forged']] })),
  signed(
    'a timestamp that was edited',
    editOne({ timestamp_ms: '1', timestamp: '1970-01-01T00:00:00.001Z' }),
  ),
  signed('a timestamp that is the sender’s now', editOne({ timestamp_type: 0 })),
  signed('a row of another partition', editOne({ partition: 1 }), '47'),
  signed('a row of the topic made again', editOne({ topic_id: 'f'.repeat(32) }), '47'),
  signed('a row with another offset', editOne({ offset: '147' }), '47'),
  signed('a row that was taken out', (rows) => rows.toSpliced(ROW, 1), '47'),
  signed('a row that is there twice', (rows) => rows.toSpliced(ROW, 0, ...rows.slice(ROW, ROW + 1)), '48'),
  signed(
    'two rows in the wrong order',
    (rows) => rows.toSpliced(ROW, 2, ...rows.slice(ROW, ROW + 2).reverse()),
    '47',
  ),
  signed('a last row that was taken out', (rows) => rows.slice(0, -1), '59'),
  signed(
    'a row behind the last one',
    (rows) => [...rows, ...rows.slice(-1).map((row) => ({ ...row, offset: '60' }))],
    '61',
  ),
  signed('all rows taken out', () => [], FIRST),
]

function editOne(fields: Row): (rows: readonly Row[]) => readonly Row[] {
  return (rows) => rows.map((row, at) => (at === ROW ? { ...row, ...fields } : row))
}

/** @param offset of the row that is told; without one only the root over the segment differs */
function signed(how: string, edit: (rows: readonly Row[]) => readonly Row[], offset = FIRST): Tampering {
  return {
    how: `${how}, under a manifest that the key signed anew`,
    damage: (a, folder) => writeRows(a, folder, { edit, isSigned: true }),
    ...{ exitCode: 1, codes: ['rows-altered'], offset, object: (a) => a.segment(SEGMENT).data },
  }
}

interface RowEdit {
  readonly edit: (rows: readonly Row[]) => readonly Row[]
  readonly isSigned: boolean
}

async function writeRows(archive: SmallArchive, folder: string, { edit, isSigned }: RowEdit): Promise<void> {
  const { data } = archive.segment(SEGMENT)
  const rows: Row[] = []
  await readRows({
    bytes: [await readFile(path.join(folder, data))],
    format: archive.format,
    onLine: (line) => {
      rows.push(parseRow(line))
    },
    signal: new AbortController().signal,
  })
  const edited = edit(rows).map((row) => decodeRow(JSON.stringify(row)))
  const bytes = await encodeRows(edited, archive.format)
  await change(folder, data, () => bytes)
  if (!isSigned) return
  const written = { size: bytes.length, sha256: hash('sha256', bytes, 'hex') }
  await forgeManifest(archive, folder, {
    index: SEGMENT,
    edit: (manifest) => ({ ...manifest, data: manifest.data && { ...manifest.data, ...written } }),
  })
}

function parseRow(line: string): Row {
  return JSON.parse(line) as Row
}
