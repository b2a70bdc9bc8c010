/**
 * The first documents of an archive: README.txt, formats.md, the verifier, then genesis.note, which names their hashes. All
 * create-only: of two archivers that find an empty store one makes the genesis, the other adopts it. A crash before
 * genesis.note leaves explaining texts only; the next start adopts what lies there and goes on.
 */
import { hash } from 'node:crypto'
import { ulid } from 'ulid'
import { TEXT_TYPE } from '../core/archive/content-type.ts'
import { encodeDocument } from '../core/archive/documents.ts'
import { FORMATS_KEY, GENESIS_KEY, README_KEY, TOOLS_PREFIX } from '../core/archive/keys.ts'
import { FORMAT_VERSION, type Genesis } from '../core/archive/manifest.ts'
import { README_TEXT } from '../core/archive/readme-text.ts'
import { lockOf } from '../core/archive/retention.ts'
import { openDelegation } from '../core/archive/key/delegation.ts'
import { readKeyChain } from '../core/archive/key/read-key-chain.ts'
import { signNoteBy } from '../core/archive/signed-note.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import { isoTime, type OpeningContext } from './archiver-context.ts'
import { ArchiveKeys } from './archive-keys.ts'
import { NOTE_BYTES_MAX } from './notes.ts'

export interface OpenedGenesis {
  readonly genesis: Genesis
  /** SHA-256 of genesis.note: what the first heartbeat calls its previous. */
  readonly sha256: string
  readonly keys: ArchiveKeys
}

/**
 * @throws STORE_ARCHIVE_MISMATCH when the job store knows another archive
 * @throws ARCHIVE_NOTE_INVALID when the archive's keys are others
 */
export async function openGenesis(context: OpeningContext): Promise<OpenedGenesis> {
  const found = (await readGenesis(context)) ?? (await makeGenesis(context))
  const remembered = context.rememberedArchiveId ?? null
  if (remembered !== null && remembered !== found.genesis.archive_id) {
    throw mismatch(remembered, found.genesis.archive_id)
  }
  return found
}

async function readGenesis(context: OpeningContext): Promise<OpenedGenesis | null> {
  const { archive, clock, signer } = context
  const chain = await readKeyChain(archive)
  if (chain === null) return null
  if (!chain.includes(context.verifiers))
    throw new HooktrailError('ARCHIVE_NOTE_INVALID', { key: GENESIS_KEY, reason: 'the root key is not ours' })
  const keys = new ArchiveKeys({ archive, clock, chain, signers: [signer] })
  return { genesis: chain.genesis, sha256: chain.genesisSha256, keys }
}

async function makeGenesis(context: OpeningContext): Promise<OpenedGenesis> {
  const remembered = context.rememberedArchiveId ?? null
  // Checked before anything is written: a fresh genesis here would hide that the archive is gone.
  if (remembered !== null) throw mismatch(remembered, null)
  const origin = await originOf(context)
  const files = await explainAll(context)
  const document: Genesis = {
    kind: 'genesis',
    format_version: FORMAT_VERSION,
    created_at: isoTime(context.clock.now()),
    cadence: {
      active_seconds: Math.max(1, Math.ceil(context.settings.heartbeatMs / 1000)),
      idle_seconds: Math.max(1, Math.ceil(context.settings.idleHeartbeatMs / 1000)),
    },
    ...origin,
    files,
    format: context.settings.format,
  }
  const body = await signNoteBy(encodeDocument(document), [context.signer])
  await create(context, GENESIS_KEY, body)
  const made = await readGenesis(context)
  if (made === null) throw new HooktrailError('ARCHIVE_STORE_UNAVAILABLE', { key: GENESIS_KEY })
  return made
}

/** Of whom the archive is: of the root that delegated to the key, or of the key itself. */
async function originOf({
  keySource,
  signer,
  clock,
}: OpeningContext): Promise<Pick<Genesis, 'archive_id' | 'root_key' | 'delegation'>> {
  const candidates = (await keySource?.read()) ?? []
  const own = candidates.find((candidate) => candidate.signer.vkey === signer.vkey)
  for (const delegation of own?.delegations ?? []) {
    const { document } = openDelegation(delegation)
    if (document.key !== signer.vkey || document.replaces !== null) continue
    return { archive_id: document.archive_id, root_key: document.root_key, delegation }
  }
  return { archive_id: ulid(clock.now()), root_key: signer.vkey }
}

/** SHA-256 by key, also of a tool that another version left when it was ended before its genesis. */
async function explainAll(context: OpeningContext): Promise<Record<string, string>> {
  const texts = { [README_KEY]: README_TEXT, [FORMATS_KEY]: context.formatsText, ...context.tools }
  const files: Record<string, string> = {}
  for (const [key, text] of Object.entries(texts)) files[key] = await explain(context, key, text)
  for await (const { key } of context.archive.list(TOOLS_PREFIX)) files[key] ??= await hashOf(context, key)
  return files
}

/** Hash of what lies there afterwards, ours or an earlier writer's. */
async function explain(context: OpeningContext, key: string, text: string): Promise<string> {
  const body = Buffer.from(text)
  if ((await create(context, key, body)) === 'created') return hash('sha256', body, 'hex')
  return hashOf(context, key)
}

async function hashOf(context: OpeningContext, key: string): Promise<string> {
  const found = await context.archive.read(key, NOTE_BYTES_MAX)
  if (found === null) throw new HooktrailError('ARCHIVE_STORE_UNAVAILABLE', { key })
  return hash('sha256', found, 'hex')
}

async function create(context: OpeningContext, key: string, body: Buffer): Promise<'created' | 'exists'> {
  const sha256 = hash('sha256', body, 'buffer')
  const lock = context.worm && { lock: lockOf(context.worm.terms, key, context.clock.now()) }
  return context.archive.create({ key, body, sha256, contentType: TEXT_TYPE, ...lock })
}

function mismatch(remembered: string, found: string | null): HooktrailError {
  return new HooktrailError('STORE_ARCHIVE_MISMATCH', { remembered, found })
}
