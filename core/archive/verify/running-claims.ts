/**
 * Running roots as heartbeats sign them: the root over the leaves of [start, next) of a partition, while those lay in an
 * open segment. Each must come out of the rows that were archived, over as many segments as it spans. They are kept
 * packed, since a busy partition has one a minute, and only where rows are read at all.
 */
import { MerkleStack, type HashText } from '../merkle.ts'
import { neverHeldRecord } from '../../gap-reason.ts'
import type { Manifest, RunningRoot } from '../manifest.ts'

/** start, next, number of the heartbeat, root. */
const CLAIM_BYTES = 8 + 8 + 8 + 32
const CLAIMS_FIRST = 64
/** Of all partitions: what 10 that are always busy sign in nine months, in 220 MB. */
const CLAIMS_MAX = 4_000_000

export interface Claim {
  readonly start: bigint
  readonly next: bigint
  readonly heartbeat: bigint
  readonly root: string
}

/** Of every partition, in the order in which they were signed, which is that of their starts. */
export class RunningClaims {
  readonly #lists = new Map<string, ClaimList>()
  #count = 0

  /** @returns false where there are too many to be kept: this one is not checked */
  add(partition: string, to: string, { next, root }: RunningRoot, heartbeat: bigint): boolean {
    let list = this.#lists.get(partition)
    if (list === undefined) this.#lists.set(partition, (list = new ClaimList()))
    const claim = { start: BigInt(to), next: BigInt(next), heartbeat, root }
    if (list.endsWith(claim)) return true
    if (this.#count >= CLAIMS_MAX) return false
    this.#count += 1
    list.push(claim)
    return true
  }

  /** Those that begin at `start`; what begins before it is passed over for good. */
  take(partition: string, start: bigint): readonly Claim[] {
    return this.#lists.get(partition)?.take(start) ?? []
  }
}

class ClaimList {
  #bytes = Buffer.allocUnsafe(CLAIMS_FIRST * CLAIM_BYTES)
  #end = 0
  #taken = 0

  push({ start, next, heartbeat, root }: Claim): void {
    if (this.#end === this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], this.#end * 2)
    this.#bytes.writeBigUInt64BE(start, this.#end)
    this.#bytes.writeBigUInt64BE(next, this.#end + 8)
    this.#bytes.writeBigUInt64BE(heartbeat, this.#end + 16)
    this.#bytes.write(root, this.#end + 24, 'hex')
    this.#end += CLAIM_BYTES
  }

  /** A row that did not change is repeated in every full table. */
  endsWith({ start, next, root }: Claim): boolean {
    if (this.#end === 0) return false
    const last = this.#at(this.#end - CLAIM_BYTES)
    return last.start === start && last.next === next && last.root === root
  }

  take(start: bigint): readonly Claim[] {
    const found: Claim[] = []
    for (; this.#taken < this.#end; this.#taken += CLAIM_BYTES) {
      const claim = this.#at(this.#taken)
      if (claim.start > start) break
      if (claim.start === start) found.push(claim)
    }
    return found
  }

  #at(offset: number): Claim {
    return {
      start: this.#bytes.readBigUInt64BE(offset),
      next: this.#bytes.readBigUInt64BE(offset + 8),
      heartbeat: this.#bytes.readBigUInt64BE(offset + 16),
      root: this.#bytes.toString('hex', offset + 24, offset + CLAIM_BYTES),
    }
  }
}

/** Claims of one start, and the tree over the leaves from there on. */
interface OpenTree {
  readonly stack: MerkleStack
  readonly claims: Claim[]
}

/** The claims of one partition while its segments pass by, in order. */
export class RunningCheck {
  #open: OpenTree[] = []
  #wrong: Claim[] = []

  /** Nothing of what was begun can be judged: rows of its segments are missing, or other ones. */
  drop(): void {
    this.#open = []
    this.#wrong = []
  }

  /** A claim over offsets that may have held records which are not there is not compared: what is lost is told by its gap. */
  begin({ gaps }: Pick<Manifest, 'gaps'>, claims: readonly Claim[]): void {
    if (claims.length > 0) this.#open.push({ stack: new MerkleStack(), claims: inOrder(claims) })
    const lost = gaps.find(({ reason }) => !neverHeldRecord(reason))
    if (lost === undefined) return
    const from = BigInt(lost.from)
    this.#keep(({ next }) => next <= from)
  }

  get isIdle(): boolean {
    return this.#open.length === 0
  }

  add(offset: bigint, leaf: HashText): void {
    if (this.#open.length === 0) return
    this.#compare(offset)
    for (const { stack } of this.#open) stack.push(leaf)
  }

  /** @returns claims of which other records came out */
  end({ next }: Pick<Manifest, 'next'>): readonly Claim[] {
    this.#compare(BigInt(next))
    const wrong = this.#wrong
    this.#wrong = []
    return wrong
  }

  /** Every claim that ends at or before `offset`, of which all leaves are in. */
  #compare(offset: bigint): void {
    let isDone = false
    for (const { stack, claims } of this.#open) {
      for (let claim = claims[0]; claim !== undefined && claim.next <= offset; claim = claims[0]) {
        if (stack.root().toString('hex') !== claim.root) this.#wrong.push(claim)
        claims.shift()
        isDone = true
      }
    }
    if (isDone) this.#keep(() => true)
  }

  #keep(isKept: (claim: Claim) => boolean): void {
    const open = this.#open.map(({ stack, claims }) => ({ stack, claims: claims.filter(isKept) }))
    this.#open = open.filter(({ claims }) => claims.length > 0)
  }
}

function inOrder(claims: readonly Claim[]): Claim[] {
  return claims.toSorted((a, b) => Number(a.next - b.next))
}
