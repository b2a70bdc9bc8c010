/** Reads the chains of policies and holds from number 0 on: signed, each at its own key, each naming the one before. */
import { parseHold } from '../holds.ts'
import { numberedKey, type NumberedNotes } from '../keys.ts'
import { parsePolicy, type Policy } from '../policy.ts'
import { NOTE_BYTES_MAX } from '../signed-note.ts'
import { Agreements, type AgreedNote, type NoteChain } from './agreements.ts'
import { openVerified, type VerifiedNote } from './read-note.ts'
import type { Reading } from './verify-context.ts'

type Place = Pick<Policy, 'archive_id' | 'n' | 'previous'>

export async function verifyAgreements(context: Reading, genesisSha256: string): Promise<Agreements> {
  return new Agreements(
    await verifyChain(context, { notes: 'policy', parse: parsePolicy, genesisSha256 }),
    await verifyChain(context, { notes: 'holds', parse: parseHold, genesisSha256 }),
  )
}

interface ChainRequest<T> {
  readonly notes: NumberedNotes
  readonly parse: (text: string) => T
  readonly genesisSha256: string
}

/** @returns by number; null for one that is missing or cannot be believed, which is reported */
async function verifyChain<T extends Place>(
  context: Reading,
  { notes, parse, genesisSha256 }: ChainRequest<T>,
): Promise<NoteChain<T>> {
  const { findings, store } = context
  const chain: (AgreedNote<T> | null)[] = []
  let previous: string | null = genesisSha256
  for await (const { key } of store.list(`${notes}/`)) {
    context.signal.throwIfAborted()
    const n = numberedNoteOf(notes, key)
    if (n === null || n < chain.length) {
      findings.altered('foreign', key, 'no note has this name')
      continue
    }
    if (n > chain.length) {
      const missing = numberedKey(notes, BigInt(chain.length))
      findings.altered('note-missing', missing, 'it is missing, and later ones are there')
      // What is not there could be any number: only the notes that are there are held.
      while (chain.length < Math.min(n, NUMBERS_MAX)) chain.push(null)
      previous = null
    }
    const bytes = await store.read(key, NOTE_BYTES_MAX)
    const note: VerifiedNote<T> | null = bytes === null ? null : openVerified(context, { key, parse }, bytes)
    if (
      note !== null &&
      (note.document.n !== String(n) || (previous ?? note.document.previous) !== note.document.previous)
    )
      findings.altered('note-chain', key, 'it does not follow the one before it, or genesis')
    chain.push(note)
    previous = note?.sha256 ?? null
  }
  return chain
}

/** Bounds what a name alone can make the verifier hold. */
const NUMBERS_MAX = 100_000

/** Null where no note of that folder has this name. */
export function numberedNoteOf(notes: NumberedNotes, key: string): number | null {
  const [, digits] = /\/([0-9]{12})\.note$/.exec(key) ?? []
  const n = Number(digits ?? NaN)
  return n < NUMBERS_MAX && numberedKey(notes, BigInt(n)) === key ? n : null
}
