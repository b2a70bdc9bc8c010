/**
 * RFC 6962 §2.1 Merkle tree over leaf hashes, built incrementally: the stack holds one hash for each complete subtree,
 * largest first, and is the tree's right edge. Size and edge alone are enough to go on, so no writer keeps the leaves.
 */
import assert from 'node:assert/strict'
import { hash } from 'node:crypto'

/** Root of the tree without leaves: SHA-256 of nothing. */
export const EMPTY_ROOT = hash('sha256', '', 'buffer')

const LEAF_PREFIX = Buffer.of(0)
const pair = Buffer.alloc(65, 1)

/** SHA-256(0x00 ‖ data). */
export function merkleLeaf(data: Buffer): Buffer {
  return hash('sha256', Buffer.concat([LEAF_PREFIX, data]), 'buffer')
}

/** SHA-256(0x01 ‖ left ‖ right). */
export function merkleNode(left: Buffer, right: Buffer): Buffer {
  left.copy(pair, 1)
  right.copy(pair, 33)
  return hash('sha256', pair, 'buffer')
}

export function merkleRoot(leaves: Iterable<Buffer>): Buffer {
  const stack = new MerkleStack()
  for (const leaf of leaves) stack.push(leaf)
  return stack.root()
}

export class MerkleStack {
  #size = 0n
  readonly #edge: Buffer[] = []

  /** @param edge hashes of the complete subtrees of a tree of `size` leaves, largest first. */
  static fromEdge(size: bigint, edge: readonly Buffer[]): MerkleStack {
    assert.equal(edge.length, edgeLength(size), 'the edge has one hash for each complete subtree')
    const stack = new MerkleStack()
    for (const node of edge) {
      assert.equal(node.length, 32, 'a node is 32 bytes')
      stack.#edge.push(Buffer.from(node))
    }
    stack.#size = size
    return stack
  }

  get size(): bigint {
    return this.#size
  }

  push(leaf: Buffer): void {
    let node = leaf
    for (let rest = this.#size; (rest & 1n) === 1n; rest >>= 1n) {
      const left = this.#edge.pop()
      assert(left !== undefined, 'the edge matches the size')
      node = merkleNode(left, node)
    }
    this.#edge.push(node)
    this.#size += 1n
  }

  root(): Buffer {
    let root: Buffer | undefined
    for (const node of this.#edge.toReversed()) {
      root = root === undefined ? node : merkleNode(node, root)
    }
    return root ?? EMPTY_ROOT
  }

  edge(): readonly Buffer[] {
    return [...this.#edge]
  }
}

/** How many hashes the edge of a tree of `size` leaves has. */
export function edgeLength(size: bigint): number {
  let count = 0
  for (let rest = size; rest > 0n; rest >>= 1n) count += Number(rest & 1n)
  return count
}
