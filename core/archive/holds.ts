/**
 * Legal holds `holds/<n>.note`: a chain of entries. `hold` begins one over a range of offsets, future ones too; `release`
 * ends it; `applied` says that everything archived by then follows the entry it names. What is held is kept whatever its
 * retention says.
 */
import { z } from 'zod'
import {
  count,
  int64,
  parseDocument,
  sha256,
  text,
  time,
  topicId,
  topicName,
  version,
} from './document-fields.ts'
import type { FORMAT_VERSION, Manifest } from './manifest.ts'

export interface HoldRange {
  readonly topic: string
  /** Null: of every topic that ever had this name. */
  readonly topic_id: string | null
  /** Null: every partition. */
  readonly partition: number | null
  readonly from: string
  /** Inclusive; null: whatever will come, too. */
  readonly to: string | null
}

export interface Hold {
  readonly kind: 'hold'
  readonly format_version: typeof FORMAT_VERSION
  readonly archive_id: string
  readonly n: string
  readonly created_at: string
  /** SHA-256 of the entry before; of genesis.note for n = 0. */
  readonly previous: string
  readonly action: 'hold' | 'release' | 'applied'
  readonly hold_id: string
  /** Of `hold` alone. */
  readonly range: HoldRange | null
  /** Where a single event was named. */
  readonly event_id: string | null
  readonly reason: string | null
  /** Of `applied` alone: number of the entry that is done. */
  readonly applies: string | null
  readonly writer: string
}

const range = z.strictObject({
  topic: topicName,
  topic_id: topicId.nullable(),
  partition: count.nullable(),
  from: int64,
  to: int64.nullable(),
})

const hold = z.strictObject({
  kind: z.literal('hold'),
  format_version: version,
  archive_id: text,
  n: int64,
  created_at: time,
  previous: sha256,
  action: z.enum(['hold', 'release', 'applied']),
  hold_id: text,
  range: range.nullable(),
  event_id: text.nullable(),
  reason: text.nullable(),
  applies: int64.nullable(),
  writer: text,
})

/** @throws ARCHIVE_DOCUMENT_INVALID */
export function parseHold(line: string): Hold {
  return parseDocument(hold, line)
}

export interface ActiveHold {
  readonly id: string
  readonly n: bigint
  readonly range: HoldRange
  readonly createdAt: string
  /** What was archived before is held, too. */
  readonly isApplied: boolean
}

/** The holds that are in force behind the last of these entries. */
export class HoldBook {
  readonly #active = new Map<string, ActiveHold>()
  readonly #ranges = new Map<string, HoldRange>()
  readonly #numbers = new Map<string, bigint>()
  /** Entries that no `applied` names yet, oldest first. */
  readonly #open = new Map<bigint, Hold>()

  apply(entry: Hold): void {
    const n = BigInt(entry.n)
    if (entry.range !== null) this.#ranges.set(entry.hold_id, entry.range)
    this.#numbers.set(`${entry.action} ${entry.hold_id}`, n)
    switch (entry.action) {
      case 'hold':
        this.#open.set(n, entry)
        if (entry.range !== null)
          this.#active.set(entry.hold_id, {
            ...{ id: entry.hold_id, n, range: entry.range },
            ...{ createdAt: entry.created_at, isApplied: false },
          })
        return
      case 'release':
        this.#open.set(n, entry)
        this.#active.delete(entry.hold_id)
        return
      case 'applied':
        this.#open.delete(BigInt(entry.applies ?? -1))
        this.#markApplied(entry)
        return
    }
    entry.action satisfies never
  }

  get active(): readonly ActiveHold[] {
    return [...this.#active.values()]
  }

  /** Also of one that was released. */
  rangeOf(holdId: string): HoldRange | null {
    return this.#ranges.get(holdId) ?? null
  }

  /** Null where there is no such entry. */
  numberOf(action: 'hold' | 'release', holdId: string): bigint | null {
    return this.#numbers.get(`${action} ${holdId}`) ?? null
  }

  get open(): readonly Hold[] {
    return [...this.#open.values()]
  }

  #markApplied({ hold_id: id, applies }: Hold): void {
    const found = this.#active.get(id)
    if (found !== undefined && String(found.n) === applies)
      this.#active.set(id, { ...found, isApplied: true })
  }
}

type Covered = Pick<Manifest, 'topic' | 'topic_id' | 'partition' | 'first' | 'last'>

/** True where the range has an offset in common with what the manifest covers. */
export function isInRange(held: HoldRange, { topic, topic_id, partition, first, last }: Covered): boolean {
  return (
    held.topic === topic &&
    (held.topic_id === null || held.topic_id === topic_id) &&
    (held.partition === null || held.partition === partition) &&
    BigInt(held.from) <= BigInt(last) &&
    (held.to === null || BigInt(held.to) >= BigInt(first))
  )
}
