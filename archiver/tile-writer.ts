/**
 * Writes the full tiles of the tree that heartbeats sign. Derived from them afterwards, by any archiver: all make the same
 * bytes, so a create that finds something there only compares. What is missing after a crash the next step adds; a tile
 * of a higher level goes first, so that one of the lowest level says that everything up to it is there.
 */
import { hash } from 'node:crypto'
import { contentTypeOf } from '../core/archive/content-type.ts'
import { manifestLeaf } from '../core/archive/documents.ts'
import {
  fullTiles,
  TILE_WIDTH,
  tileKey,
  tileRoot,
  type Tile,
  type TilePlace,
} from '../core/archive/tree/tile.ts'
import { firstAbsent, firstHeartbeat } from '../core/archive/tree/heartbeat-search.ts'
import type { Heartbeat } from '../core/archive/manifest.ts'
import type { ArchiverContext } from './archiver-context.ts'
import { createObject } from './create-object.ts'
import { readHeartbeat, type HeartbeatChain } from './heartbeat-chain.ts'

const TILE_BYTES = TILE_WIDTH * 32
const WIDTH = BigInt(TILE_WIDTH)
/** An archive without tiles gets them in steps of so many heartbeats. */
const HEARTBEATS_PER_STEP = 1_000

export class TileWriter {
  readonly #context: ArchiverContext
  readonly #chain: HeartbeatChain
  /** Tiles of the lowest level that are there; null before the store was asked. */
  #done: bigint | null = null
  /** Leaves behind them, as far as heartbeats were read. */
  #leaves: Buffer[] = []
  #nextHeartbeat = 0n

  constructor(context: ArchiverContext, chain: HeartbeatChain) {
    this.#context = context
    this.#chain = chain
  }

  /** @returns how many tiles were made */
  async step(): Promise<number> {
    const { newest } = this.#chain
    if (newest === null) return 0
    if (this.#done === null && fullTiles(BigInt(newest.heartbeat.tree_size), 0) === 0n) return 0
    let made = 0
    let done = this.#done ?? (await this.#begin(newest.n))
    for (let read = 0; ; read++) {
      while (this.#leaves.length >= TILE_WIDTH) {
        const bytes = Buffer.concat(this.#leaves.slice(0, TILE_WIDTH))
        made += await this.#write({ level: 0, index: done, bytes })
        this.#leaves = this.#leaves.slice(TILE_WIDTH)
        done += 1n
        this.#done = done
      }
      if (this.#nextHeartbeat > newest.n || read >= HEARTBEATS_PER_STEP) return made
      const stored = await readHeartbeat(this.#context, this.#nextHeartbeat)
      if (stored === null) return made
      this.#nextHeartbeat += 1n
      this.#leaves.push(...stored.heartbeat.manifests.map(({ sha256 }) => manifestLeaf(sha256)))
    }
  }

  /** The tile above goes first, where this one completes it. */
  async #write(tile: Tile): Promise<number> {
    let made = 0
    if ((tile.index + 1n) % WIDTH === 0n) {
      const above = { level: tile.level + 1, index: tile.index / WIDTH }
      const bytes = await this.#hashesOf(above, tile)
      if (bytes !== null) made = await this.#write({ ...above, bytes })
    }
    const key = tileKey(tile)
    const sha256 = hash('sha256', tile.bytes, 'buffer')
    const object = { key, body: tile.bytes, sha256, contentType: contentTypeOf(key) }
    if ((await createObject(this.#context, object)) === 'created') return made + 1
    const found = await this.#context.archive.read(key, TILE_BYTES)
    if (found?.equals(tile.bytes) !== true)
      this.#context.logger.error(
        { key },
        'a tile of the tree is there with other bytes: somebody else put it',
      )
    return made
  }

  /** Roots of the tiles below, of which the last is not written yet; null where one of the others was taken away. */
  async #hashesOf({ level, index }: TilePlace, last: Tile): Promise<Buffer | null> {
    const roots: Buffer[] = []
    for (let at = index * WIDTH; at < last.index; at++) {
      const key = tileKey({ level: level - 1, index: at })
      const bytes = await this.#context.archive.read(key, TILE_BYTES)
      if (bytes?.length !== TILE_BYTES) {
        this.#context.logger.error({ key }, 'a tile of the tree is missing or short: none is made above it')
        return null
      }
      roots.push(tileRoot(bytes))
    }
    return Buffer.concat([...roots, tileRoot(last.bytes)])
  }

  /** Behind the last tile that is there: from the heartbeat on that names the first leaf of the next one. */
  async #begin(newestN: bigint): Promise<bigint> {
    const done = await firstAbsent(
      async (index) => (await this.#context.archive.head(tileKey({ level: 0, index }))) !== null,
    )
    const leaf = done * WIDTH
    const read = async (n: bigint): Promise<Heartbeat | null> =>
      (await readHeartbeat(this.#context, n))?.heartbeat ?? null
    const first = await firstHeartbeat(read, newestN + 1n, ({ tree_size }) => BigInt(tree_size) > leaf)
    const heartbeat = await read(first)
    if (heartbeat !== null) {
      const before = BigInt(heartbeat.tree_size) - BigInt(heartbeat.manifests.length)
      this.#leaves = heartbeat.manifests
        .slice(Number(leaf - before))
        .map(({ sha256 }) => manifestLeaf(sha256))
    }
    this.#nextHeartbeat = first + 1n
    this.#done = done
    return done
  }
}
