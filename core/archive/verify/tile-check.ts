/**
 * Every full tile of the tree, made again while its leaves pass by, against the one in the store. Tiles are derived after
 * their heartbeats and in order: the last ones may still be missing, one that has successors was removed.
 */
import { tileKey, TileStack, TILE_WIDTH, type Tile } from '../tree/tile.ts'
import type { VerifyContext } from './verify-context.ts'

const TILE_BYTES = TILE_WIDTH * 32

export class TileCheck {
  readonly #context: Pick<VerifyContext, 'findings' | 'store'>
  readonly #stack = new TileStack()
  /** By level, the first of those that are missing at its end. */
  readonly #absent = new Map<number, string>()

  constructor(context: Pick<VerifyContext, 'findings' | 'store'>) {
    this.#context = context
  }

  async push(leaf: Buffer): Promise<void> {
    for (const tile of this.#stack.push(leaf)) await this.#compare(tile)
  }

  end(): void {
    for (const key of this.#absent.values()) {
      this.#context.findings.note('tile-waiting', key, 'the tree covers it, it is not written yet')
    }
  }

  async #compare(tile: Tile): Promise<void> {
    const { findings, store } = this.#context
    const key = tileKey(tile)
    const absent = this.#absent.get(tile.level)
    const found = await store.read(key, TILE_BYTES)
    if (found === null) {
      this.#absent.set(tile.level, absent ?? key)
      return
    }
    if (absent !== undefined) {
      findings.altered('tile-missing', absent, 'it is missing, and later ones are there')
      this.#absent.delete(tile.level)
    }
    if (!found.equals(tile.bytes)) findings.altered('tile-altered', key, 'it is not the tile of the tree')
  }
}
