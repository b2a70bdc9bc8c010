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
/** Of a size: what is counted without bigints. */
const LOW_BITS = 30n
const LOW_MAX = 2 ** 30 - 1

/** A hash as 32 letters of latin1: where there is one for each event it costs a third of what a Buffer does. */
export type HashText = string

export function hashText(data: Buffer): HashText {
  return hash('sha256', data, 'binary')
}

export function bytesOfHash(text: HashText): Buffer {
  return Buffer.from(text, 'latin1')
}

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

function nodeText(left: HashText, right: HashText): HashText {
  pair.write(left, 1, 32, 'latin1')
  pair.write(right, 33, 32, 'latin1')
  return hashText(pair)
}

export function merkleRoot(leaves: Iterable<Buffer>): Buffer {
  const stack = new MerkleStack()
  for (const leaf of leaves) stack.push(leaf)
  return stack.root()
}

export class MerkleStack {
  /** The size in two parts: its lowest bits, and how often they were full. */
  #low = 0
  #high = 0n
  readonly #edge: HashText[] = []

  /** @param edge hashes of the complete subtrees of a tree of `size` leaves, largest first. */
  static fromEdge(size: bigint, edge: readonly Buffer[]): MerkleStack {
    assert.equal(edge.length, edgeLength(size), 'the edge has one hash for each complete subtree')
    const stack = new MerkleStack()
    for (const node of edge) {
      assert.equal(node.length, 32, 'a node is 32 bytes')
      stack.#edge.push(node.toString('latin1'))
    }
    stack.#low = Number(size & BigInt(LOW_MAX))
    stack.#high = size >> LOW_BITS
    return stack
  }

  get size(): bigint {
    return (this.#high << LOW_BITS) | BigInt(this.#low)
  }

  push(leaf: Buffer | HashText): void {
    let node = typeof leaf === 'string' ? leaf : leaf.toString('latin1')
    for (let rest = this.#low; (rest & 1) === 1; rest >>= 1) node = nodeText(this.#pop(), node)
    if (this.#low < LOW_MAX) this.#low += 1
    else {
      for (let rest = this.#high; (rest & 1n) === 1n; rest >>= 1n) node = nodeText(this.#pop(), node)
      this.#low = 0
      this.#high += 1n
    }
    this.#edge.push(node)
  }

  root(): Buffer {
    let root: HashText | undefined
    for (const node of this.#edge.toReversed()) root = root === undefined ? node : nodeText(node, root)
    return root === undefined ? EMPTY_ROOT : bytesOfHash(root)
  }

  edge(): readonly Buffer[] {
    return this.#edge.map(bytesOfHash)
  }

  #pop(): HashText {
    const left = this.#edge.pop()
    assert(left !== undefined, 'the edge matches the size')
    return left
  }
}

/** How many hashes the edge of a tree of `size` leaves has. */
export function edgeLength(size: bigint): number {
  let count = 0
  for (let rest = size; rest > 0n; rest >>= 1n) count += Number(rest & 1n)
  return count
}
