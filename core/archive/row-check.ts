/**
 * The rows of one segment against its manifest, one after the other: each at the offset that is due after the gaps, each
 * leaf into the root, the times within what was signed. Whoever verifies and whoever reads back judge by the same code.
 */
import type { LeafRow } from './leaf-row.ts'
import type { Manifest } from './manifest.ts'
import { MerkleStack, type HashText } from './merkle.ts'

export interface RowFault {
  readonly text: string
  readonly offset?: string
}

export type LeafListener = (offset: bigint, leaf: HashText) => void

export class RowCheck {
  /** The offset that the next row must have, after the gaps. */
  next: bigint
  readonly #manifest: Manifest
  readonly #onLeaf: LeafListener | null
  readonly #stack = new MerkleStack()
  #gap = 0
  #fault: RowFault | null = null
  #least: bigint | null = null
  #greatest: bigint | null = null

  constructor(manifest: Manifest, onLeaf: LeafListener | null = null) {
    this.#manifest = manifest
    this.#onLeaf = onLeaf
    this.next = BigInt(manifest.first)
    this.#skipGaps()
  }

  add({ at, offset, timestampMs, leaf }: LeafRow): void {
    const { topic, topic_id, partition } = this.#manifest
    if (at.topic !== topic || at.topicId !== topic_id || at.partition !== partition) {
      this.#fault ??= { text: 'a row belongs to another partition', offset: String(offset) }
    }
    if (offset !== this.next) {
      const text = `a row has offset ${String(offset)} where ${String(this.next)} is due`
      this.#fault ??= { text, offset: String(this.next) }
    }
    this.#onLeaf?.(offset, leaf)
    this.#stack.push(leaf)
    if (this.#least === null || timestampMs < this.#least) this.#least = timestampMs
    if (this.#greatest === null || timestampMs > this.#greatest) this.#greatest = timestampMs
    this.next = offset + 1n
    this.#skipGaps()
  }

  /** What is wrong with the rows, or null. */
  finish(): RowFault | null {
    if (this.#fault !== null) return this.#fault
    if (this.next !== BigInt(this.#manifest.next)) {
      return { text: `it ends before offset ${this.#manifest.next}`, offset: String(this.next) }
    }
    if (this.#stack.root().toString('hex') === this.#manifest.merkle_root) return this.#timeFault()
    return { text: 'the root over its rows is not the one in its manifest', offset: this.#manifest.first }
  }

  #timeFault(): RowFault | null {
    const { min_timestamp_ms, max_timestamp_ms, first } = this.#manifest
    const same = String(this.#least) === min_timestamp_ms && String(this.#greatest) === max_timestamp_ms
    return same ? null : { text: 'its times are not those in its manifest', offset: first }
  }

  #skipGaps(): void {
    for (;;) {
      const gap = this.#manifest.gaps[this.#gap]
      if (gap === undefined || BigInt(gap.from) !== this.next) return
      this.next = BigInt(gap.to) + 1n
      this.#gap += 1
    }
  }
}
