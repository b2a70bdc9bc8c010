/**
 * Brings another key into force when somebody put one at hand: the key note is created, then this archiver signs with it,
 * then the key's keeper is told. A crash behind the first leaves a note that the next start finds, and goes on from there.
 * Heartbeats name the newest note, so that the first of the new key says from when on it holds.
 */
import { encodeDocument } from '../core/archive/documents.ts'
import { openDelegation } from '../core/archive/key/delegation.ts'
import type { KeyNote } from '../core/archive/key/key-note.ts'
import { numberedKey } from '../core/archive/keys.ts'
import { FORMAT_VERSION } from '../core/archive/manifest.ts'
import { keyIdOf, signNoteBy } from '../core/archive/signed-note.ts'
import type { KeyCandidate, KeySource, Signer } from '../core/ports/signer.ts'
import type { ArchiveKeys } from './archive-keys.ts'
import { isoTime, type ArchiverContext } from './archiver-context.ts'
import { createSigned } from './notes.ts'

/** Whoever signs reads key notes anyway; this bounds how long an idle archiver signs manifests with an old key. */
const LOOK_MS = 30_000
/** Before a key runs out, so long it is said each day. */
const WARN_BEFORE_MS = 30 * 86_400_000
const WARN_EVERY_MS = 86_400_000

export class KeyKeeper {
  readonly #context: ArchiverContext
  readonly #source: KeySource
  #lookedAt = -Infinity
  #warnedAt = -Infinity
  /** Said once for each key. */
  readonly #waiting = new Set<string>()

  constructor(context: ArchiverContext) {
    this.#context = context
    this.#source = sourceOf(context)
  }

  async step(): Promise<void> {
    const { keys, clock } = this.#context
    const candidates = await this.#source.read()
    keys.hold(candidates.map(({ signer }) => signer))
    if (clock.monotonic() - this.#lookedAt >= LOOK_MS) {
      await keys.catchUp()
      this.#lookedAt = clock.monotonic()
    }
    for (const candidate of candidates)
      if (keys.chain.indexOf(candidate.signer) < 0) await this.#introduce(candidate)
    const { verifier } = keys.chain.newest
    if (keys.signerOf(verifier) !== null) await this.#source.promote(verifier.vkey)
    this.#warn()
  }

  async #introduce(candidate: KeyCandidate): Promise<void> {
    const { keys, logger } = this.#context
    await keys.catchUp()
    // Another archiver may have been first: introduced twice, the key would belie the chain for ever.
    if (keys.chain.indexOf(candidate.signer) >= 0) return
    const introduction = introductionOf(keys, candidate)
    const key = keyIdOf(candidate.signer)
    if (typeof introduction === 'string') {
      if (!this.#waiting.has(key)) logger.warn({ key }, `a key is at hand and waits: ${introduction}`)
      this.#waiting.add(key)
      return
    }
    const n = BigInt(keys.chain.keys.length - 1)
    const text = encodeDocument(this.#noteOf(n, candidate, introduction.delegation))
    await createSigned(this.#context, numberedKey('keys', n), await signNoteBy(text, introduction.signers))
    // Perhaps another archiver was first; then its note is read, and this key is looked at again.
    await keys.catchUp()
    logger.warn({ key: keyIdOf(keys.chain.newest.verifier) }, 'another key signs the archive from now on')
  }

  #noteOf(n: bigint, { signer }: KeyCandidate, delegation: string | null): KeyNote {
    const { keys, clock, archiveId, instance } = this.#context
    const { chain, seenMs } = keys
    return {
      kind: 'key',
      format_version: FORMAT_VERSION,
      archive_id: archiveId,
      n: String(n),
      // The order of heartbeats is the archive's time, whatever this clock says.
      created_at: isoTime(Math.max(clock.now(), seenMs ?? 0, chain.newest.sinceMs)),
      previous: chain.previous,
      key: signer.vkey,
      delegation,
      writer: instance,
    }
  }

  #warn(): void {
    const { keys, clock, logger } = this.#context
    const { untilMs, verifier } = keys.chain.newest
    if (untilMs === null || clock.now() < untilMs - WARN_BEFORE_MS) return
    if (clock.monotonic() - this.#warnedAt < WARN_EVERY_MS) return
    this.#warnedAt = clock.monotonic()
    logger.warn(
      { key: keyIdOf(verifier), until: isoTime(untilMs) },
      'the key that signs the archive runs out: hooktrail keys rotate',
    )
  }
}

interface Introduction {
  readonly signers: readonly Signer[]
  /** The root's note; null where the archive has no root of its own. */
  readonly delegation: string | null
}

/** Who signs for the new key, or what is missing for that. */
function introductionOf(keys: ArchiveKeys, { signer, delegations }: KeyCandidate): Introduction | string {
  const { newest, hasRoot } = keys.chain
  const before = keys.signerOf(newest.verifier)
  if (!hasRoot)
    return before === null
      ? 'the key before it is not at hand'
      : { signers: [before, signer], delegation: null }
  const delegation = delegations.find((note) => isFor(note, keys, signer)) ?? null
  if (delegation === null) return 'the root did not delegate to it yet'
  if (openDelegation(delegation).document.reason !== null) return { signers: [signer], delegation }
  return before === null
    ? 'the key before it is not at hand, and the root gave no reason'
    : { signers: [before, signer], delegation }
}

function isFor(note: string, { chain }: ArchiveKeys, { vkey }: Signer): boolean {
  const opened = openDelegation(note)
  return opened.document.key === vkey && chain.faultAsNext(opened) === null
}

/** Where nobody says otherwise there is the one key, and never another. */
function sourceOf({ keySource, signer }: ArchiverContext): KeySource {
  return (
    keySource ?? {
      read: () => Promise.resolve([{ signer, delegations: [] }]),
      promote: () => Promise.resolve(),
    }
  )
}
