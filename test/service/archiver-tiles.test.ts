/**
 * Tiles of the tree in a store: an archiver adds what is missing, whoever wrote the rest, and both verifiers find every
 * tile that is changed, taken away or invented.
 */
import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { readdir, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import { ArchiveKeys } from '../../archiver/archive-keys.ts'
import type { ArchiverContext } from '../../archiver/archiver-context.ts'
import { HeartbeatChain } from '../../archiver/heartbeat-chain.ts'
import { TileWriter } from '../../archiver/tile-writer.ts'
import { KeyChain } from '../../core/archive/key/key-chain.ts'
import { GENESIS_KEY } from '../../core/archive/keys.ts'
import type { FindingCode } from '../../core/archive/verify/finding.ts'
import { ArchiveBuilder, silentLogger } from '../support/archive-builder.ts'
import { openStage } from '../support/archiver-stage.ts'
import { orSkip } from '../support/services/local-process.ts'
import { pythonOrReason } from '../support/services/python.ts'
import { change, flipped, put, remove } from '../support/tampering.ts'
import { judge } from '../support/two-verifiers.ts'

/** Two tiles of 256 manifests, and some behind them. */
const SEGMENTS = 520
const TILES = ['tlog/tile/0/000', 'tlog/tile/0/001']

async function buildArchive(folder: string): Promise<ArchiveBuilder> {
  const builder = await ArchiveBuilder.create(folder)
  for (let at = 0; at < SEGMENTS; at++) {
    await builder.addSegment(at % 2, 1)
    if (at % 100 === 99) await builder.addHeartbeat()
  }
  await builder.addHeartbeat()
  return builder
}

function contextOf({ store }: ArchiveBuilder, context: ArchiverContext, genesis: Buffer): ArchiverContext {
  const { clock } = context
  return {
    ...context,
    archive: store,
    keys: new ArchiveKeys({ archive: store, clock, chain: new KeyChain(genesis), signers: [] }),
    archiveId: 'test-archive',
    logger: silentLogger,
  }
}

test('archivers make the tiles of any archive, each the same bytes; verifiers find what is wrong with one', async (t) => {
  await using stage = await openStage()
  const seat = await stage.seat('a')
  const folder = path.join(stage.folder, 'built')
  const builder = await buildArchive(folder)
  const genesisNote = await readFile(path.join(folder, GENESIS_KEY))
  const context = contextOf(builder, seat.context, genesisNote)
  const genesis = hash('sha256', genesisNote, 'hex')
  const before = await Promise.all(TILES.map((key) => readFile(path.join(folder, key))))

  const writer = async (): Promise<TileWriter> => {
    const chain = new HeartbeatChain(context, genesis)
    await chain.catchUp()
    return new TileWriter(context, chain)
  }
  await rm(path.join(folder, 'tlog'), { recursive: true })
  const first = await writer()
  assert.equal(await first.step(), 2)
  assert.equal(await first.step(), 0)
  await remove(folder, TILES.slice(1))
  assert.equal(await (await writer()).step(), 1, 'goes on behind the last one that is there')
  assert.equal(await (await writer()).step(), 0)
  assert.deepEqual(await Promise.all(TILES.map((key) => readFile(path.join(folder, key)))), before)
  assert.deepEqual(await readdir(path.join(folder, 'tlog/tile/0')), ['000', '001'])

  const python = await orSkip(t, pythonOrReason())
  if (python === null) return
  const judged = (level: 0 | 1 = 0) =>
    judge({ python, folder, keys: [builder.signer.vkey], nowMs: builder.nowMs, level })
  assert.deepEqual((await judged()).findings, [])
  for (const { how, damage, exitCode, code, object, level = 0 } of TILE_TAMPERINGS) {
    await damage(folder)
    const said = await judged(level)
    assert.equal(said.exitCode, exitCode, how)
    assert.deepEqual(said.findings, [`${exitCode === 0 ? 'note' : 'altered'} ${object}`], how)
    for (const findings of Object.values(said.told))
      assert.deepEqual(
        findings.map((each) => each.code),
        [code],
        how,
      )
    await rm(path.join(folder, 'tlog'), { recursive: true, force: true })
    for (const [index, tile] of before.entries()) await put(folder, TILES[index] ?? '', tile)
  }
})

interface TileTampering {
  readonly how: string
  readonly damage: (folder: string) => Promise<void>
  readonly exitCode: 0 | 1
  readonly code: FindingCode
  readonly object: string
  readonly level?: 1
}

const [FIRST = '', LAST = ''] = TILES

const TILE_TAMPERINGS: readonly TileTampering[] = [
  ...TILES.map((key): TileTampering => ({
    how: `a flipped bit in ${key}`,
    damage: (folder) => change(folder, key, (bytes) => flipped(bytes, 0.3)),
    ...{ exitCode: 1, code: 'tile-altered', object: key },
  })),
  {
    how: 'a tile without its end',
    damage: (folder) => change(folder, LAST, (bytes) => bytes.subarray(0, -32)),
    ...{ exitCode: 1, code: 'tile-altered', object: LAST },
  },
  {
    how: 'the first tile once more in place of the last',
    damage: async (folder) => put(folder, LAST, await readFile(path.join(folder, FIRST))),
    ...{ exitCode: 1, code: 'tile-altered', object: LAST },
  },
  {
    how: 'a tile that was taken away, while a later one is there',
    damage: (folder) => remove(folder, [FIRST]),
    ...{ exitCode: 1, code: 'tile-missing', object: FIRST },
  },
  // They are made again from what is signed: nothing is lost.
  {
    how: 'the last tile taken away',
    damage: (folder) => remove(folder, [LAST]),
    ...{ exitCode: 0, code: 'tile-waiting', object: LAST },
  },
  {
    how: 'all tiles taken away',
    damage: (folder) => rm(path.join(folder, 'tlog'), { recursive: true }),
    ...{ exitCode: 0, code: 'tile-waiting', object: FIRST },
  },
  ...['tlog/tile/0/002', 'tlog/tile/1/000', 'tlog/tile/0/000.p/1', 'tlog/checkpoint'].map(
    (key): TileTampering => ({
      how: `an invented ${key}`,
      damage: (folder) => put(folder, key, 'x'),
      ...{ exitCode: 1, code: 'foreign', object: key, level: 1 },
    }),
  ),
]
