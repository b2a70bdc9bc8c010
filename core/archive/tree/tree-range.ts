/**
 * Audit paths of RFC 6962 §2.1.1 in a tree of which the first leaves are known only by their right edge: what two
 * heartbeats tell is enough to prove a manifest, and all leaves of a segment are the case without an edge.
 */
import assert from 'node:assert/strict'
import { EMPTY_ROOT, merkleNode } from '../merkle.ts'

export interface TreeStart {
  /** Leaves that only the edge tells. */
  readonly size: number
  /** Roots of their complete subtrees, largest first. */
  readonly edge: readonly Buffer[]
}

const NOTHING: TreeStart = { size: 0, edge: [] }

export class TreeRange {
  readonly size: number
  readonly #start: number
  readonly #leaves: readonly Buffer[]
  /** Complete subtrees of the start, by where they begin. */
  readonly #known = new Map<number, { readonly end: number; readonly root: Buffer }>()

  /** @param leaves hashes of the leaves behind the start */
  constructor(leaves: readonly Buffer[], { size, edge }: TreeStart = NOTHING) {
    this.size = size + leaves.length
    this.#start = size
    this.#leaves = leaves
    let at = 0
    for (const root of edge) {
      const width = largestPower(size - at + 1)
      this.#known.set(at, { end: at + width, root })
      at += width
    }
    assert.equal(at, size, 'the edge has one hash for each complete subtree')
  }

  root(): Buffer {
    return this.size === 0 ? EMPTY_ROOT : this.#hash(0, this.size)
  }

  /** Siblings from the leaf to the root. @param index of a leaf behind the start */
  path(index: number): readonly Buffer[] {
    assert(index >= this.#start && index < this.size, 'the leaf is one of those that are known')
    const path: Buffer[] = []
    let [from, to] = [0, this.size]
    while (to - from > 1) {
      const middle = from + largestPower(to - from)
      if (index < middle) {
        path.push(this.#hash(middle, to))
        to = middle
      } else {
        path.push(this.#hash(from, middle))
        from = middle
      }
    }
    return path.reverse()
  }

  #hash(from: number, to: number): Buffer {
    const known = this.#known.get(from)
    if (known?.end === to) return known.root
    if (to - from > 1) {
      const middle = from + largestPower(to - from)
      return merkleNode(this.#hash(from, middle), this.#hash(middle, to))
    }
    const leaf = this.#leaves[from - this.#start]
    assert(leaf !== undefined, 'the leaf is one of those that are known')
    return leaf
  }
}

export interface AuditPath {
  readonly leaf: Buffer
  readonly index: number
  readonly size: number
  readonly path: readonly Buffer[]
}

/** The root that a path leads to (RFC 9162 §2.1.3.2), or null where it has not the length that size and index ask for. */
export function rootOfPath({ leaf, index, size, path }: AuditPath): Buffer | null {
  if (index >= size) return null
  let root = leaf
  let [at, last] = [index, size - 1]
  for (const sibling of path) {
    if (last === 0) return null
    if (at % 2 === 1 || at === last) {
      root = merkleNode(sibling, root)
      while (at % 2 === 0 && at > 0) {
        at /= 2
        last = Math.floor(last / 2)
      }
    } else root = merkleNode(root, sibling)
    at = Math.floor(at / 2)
    last = Math.floor(last / 2)
  }
  return last === 0 ? root : null
}

/** The largest power of two below `size`. */
function largestPower(size: number): number {
  let power = 1
  while (power * 2 < size) power *= 2
  return power
}
