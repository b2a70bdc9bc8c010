/**
 * C2SP tlog-tiles (c2sp.org/tlog-tiles) over the tree of manifests: 256 hashes of one level, the same bytes from whoever
 * makes them. Full tiles only; what they cover less stands in the right edge of the newest heartbeat.
 */
import { isObjectKey } from '../keys.ts'
import { merkleRoot } from '../merkle.ts'

export const TILES_PREFIX = 'tlog/tile/'
/** Hashes in a tile: a subtree of 8 levels. */
export const TILE_WIDTH = 256
/** Tiles of 2^63 leaves: more than a tree size can say. */
const LEVEL_MAX = 7
const TILE_KEY = /^tlog\/tile\/([0-7])\/((?:x[0-9]{3}\/)*)([0-9]{3})$/

export interface TilePlace {
  /** Its hashes are roots of 256^level leaves each. */
  readonly level: number
  readonly index: bigint
}

export interface Tile extends TilePlace {
  readonly bytes: Buffer
}

/** The index in groups of three digits, all but the last marked by `x`: 1234067 is `x001/x234/067`. */
export function tileKey({ level, index }: TilePlace): string {
  const digits = String(index)
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/.{3}/g) ?? []
  return `${TILES_PREFIX}${String(level)}/${groups.map((group, at) => (at === groups.length - 1 ? group : `x${group}`)).join('/')}`
}

/** Null when no full tile has this name. */
export function tilePlace(key: string): TilePlace | null {
  const [, level, groups, last] = TILE_KEY.exec(key) ?? []
  if (level === undefined || groups === undefined || last === undefined || !isObjectKey(key)) return null
  const place = { level: Number(level), index: BigInt(`${groups.replaceAll(/[x/]/g, '')}${last}`) }
  return tileKey(place) === key ? place : null
}

/** How many full tiles of a level a tree has. */
export function fullTiles(treeSize: bigint, level: number): bigint {
  return treeSize / BigInt(TILE_WIDTH) ** BigInt(level + 1)
}

/** Root of the subtree under a tile: its hash in the tile one level above. */
export function tileRoot(bytes: Buffer): Buffer {
  return merkleRoot(tileHashes(bytes))
}

export function tileHashes(bytes: Buffer): readonly Buffer[] {
  return Array.from({ length: bytes.length / 32 }, (_, at) => bytes.subarray(at * 32, at * 32 + 32))
}

/** Makes every full tile of a tree that is appended to, from its first leaf on; holds at most one of each level. */
export class TileStack {
  readonly #levels = Array.from({ length: LEVEL_MAX + 1 }, () => ({ hashes: Array.of<Buffer>(), next: 0n }))

  /** @returns the tiles that this leaf completes, lowest first */
  push(leaf: Buffer): readonly Tile[] {
    const tiles: Tile[] = []
    let hash = leaf
    for (const [level, state] of this.#levels.entries()) {
      state.hashes.push(hash)
      if (state.hashes.length < TILE_WIDTH) break
      const bytes = Buffer.concat(state.hashes)
      tiles.push({ level, index: state.next, bytes })
      state.next += 1n
      state.hashes.length = 0
      hash = tileRoot(bytes)
    }
    return tiles
  }
}
