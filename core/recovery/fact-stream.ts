/**
 * The facts that log and archive hold of one store, over several partitions in the order of their times: what a store
 * did to one job or one position comes in the order in which it did it. Records of anybody else are left out.
 */
import type { EventLog, ReadResult, TopicPartition } from '../ports/event-log.ts'
import type { UsedNumbers } from '../ports/recovery-store.ts'
import { parseFact, type Fact } from './fact.ts'

const READ_RECORDS_MAX = 500
const READ_BYTES_MAX = 4 * 1024 * 1024
/** A segment of the archive is fetched behind an answer without records. */
const READ_WAIT_MS = 5_000

export interface Span extends TopicPartition {
  readonly from: bigint
  /** Exclusive. */
  readonly to: bigint
}

export interface SpanReader {
  /** Log and archive as one. */
  readonly log: Pick<EventLog, 'read'>
  readonly signal: AbortSignal
}

/** Piece by piece, to the end. */
export async function* readSpan(
  { from, to, ...at }: Span,
  { log, signal }: SpanReader,
): AsyncGenerator<ReadResult, void, undefined> {
  const bounds = { recordsMax: READ_RECORDS_MAX, bytesMax: READ_BYTES_MAX, waitMsMax: READ_WAIT_MS }
  for (let next = from; next < to;) {
    signal.throwIfAborted()
    const result = await log.read({ ...at, ...bounds, from: next, signal })
    yield result
    next = result.next
  }
}

/**
 * @param isWanted the others are passed over before the order is made: a relay tells each kind by itself, so that within
 * a partition only facts of one kind are in the order of their times
 */
export async function* readFacts(
  spans: readonly Span[],
  isWanted: (fact: Fact) => boolean,
  reader: SpanReader,
): AsyncGenerator<Fact, void, undefined> {
  const heads: Head[] = []
  for (const span of spans) await advance(heads, factsOf(span, isWanted, reader))
  for (let head = earliest(heads); head !== null; head = earliest(heads)) {
    heads.splice(heads.indexOf(head), 1)
    yield head.fact
    await advance(heads, head.rest)
  }
}

interface Head {
  readonly fact: Fact
  readonly rest: AsyncGenerator<Fact, void, undefined>
}

async function advance(heads: Head[], rest: Head['rest']): Promise<void> {
  const { value: fact } = await rest.next()
  if (fact !== undefined) heads.push({ fact, rest })
}

/** As many as there are partitions. */
function earliest(heads: readonly Head[]): Head | null {
  let found: Head | null = null
  for (const head of heads) if (found === null || head.fact.createdAt < found.fact.createdAt) found = head
  return found
}

async function* factsOf(
  span: Span,
  isWanted: (fact: Fact) => boolean,
  reader: SpanReader,
): AsyncGenerator<Fact, void, undefined> {
  for await (const { records } of readSpan(span, reader))
    for (const record of records) {
      const fact = parseFact(record)
      if (fact !== null && record.offset < span.to && isWanted(fact)) yield fact
    }
}

/** The highest that were given out. */
export class NumbersUsed {
  #incarnation = 0
  #auditId = 0n

  see({ kind, incarnation, id }: Fact): void {
    this.#incarnation = Math.max(this.#incarnation, incarnation)
    if (kind === 'audit' && BigInt(id) > this.#auditId) this.#auditId = BigInt(id)
  }

  numbers(): UsedNumbers {
    return { incarnation: this.#incarnation, auditId: this.#auditId }
  }
}
