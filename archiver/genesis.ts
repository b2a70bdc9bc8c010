/**
 * The first documents of an archive: README.txt, formats.md, the verifier, then genesis.note, which names their hashes. All
 * create-only: of two archivers that find an empty store one makes the genesis, the other adopts it. A crash before
 * genesis.note leaves explaining texts only; the next start adopts what lies there and goes on.
 */
import { hash } from 'node:crypto'
import { ulid } from 'ulid'
import { TEXT_TYPE } from '../core/archive/content-type.ts'
import { encodeDocument, parseGenesis } from '../core/archive/documents.ts'
import { FORMATS_KEY, GENESIS_KEY, README_KEY, TOOLS_PREFIX } from '../core/archive/keys.ts'
import { FORMAT_VERSION, type Genesis } from '../core/archive/manifest.ts'
import { README_TEXT } from '../core/archive/readme-text.ts'
import { lockOf } from '../core/archive/retention.ts'
import { signNote } from '../core/archive/signed-note.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import { isoTime, type OpeningContext } from './archiver-context.ts'
import { NOTE_BYTES_MAX, readNote } from './notes.ts'

export interface OpenedGenesis {
  readonly genesis: Genesis
  /** SHA-256 of genesis.note: what the first heartbeat calls its previous. */
  readonly sha256: string
}

/**
 * @throws STORE_ARCHIVE_MISMATCH when the job store knows another archive
 * @throws ARCHIVE_NOTE_INVALID when the archive was begun under another key
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
  const note = await readNote(context, GENESIS_KEY)
  if (note === null) return null
  const genesis = parseGenesis(note.text)
  if (!context.verifiers.some(({ vkey }) => vkey === genesis.root_key)) {
    throw new HooktrailError('ARCHIVE_NOTE_INVALID', { key: GENESIS_KEY, reason: 'the root key is not ours' })
  }
  return { genesis, sha256: note.sha256 }
}

async function makeGenesis(context: OpeningContext): Promise<OpenedGenesis> {
  const remembered = context.rememberedArchiveId ?? null
  // Checked before anything is written: a fresh genesis here would hide that the archive is gone.
  if (remembered !== null) throw mismatch(remembered, null)
  const files = await explainAll(context)
  const document: Genesis = {
    kind: 'genesis',
    format_version: FORMAT_VERSION,
    archive_id: ulid(context.clock.now()),
    created_at: isoTime(context.clock.now()),
    cadence: {
      active_seconds: Math.max(1, Math.ceil(context.settings.heartbeatMs / 1000)),
      idle_seconds: Math.max(1, Math.ceil(context.settings.idleHeartbeatMs / 1000)),
    },
    root_key: context.signer.vkey,
    files,
    format: context.settings.format,
  }
  const body = signNote(encodeDocument(document), context.signer)
  await create(context, GENESIS_KEY, body)
  const made = await readGenesis(context)
  if (made === null) throw new HooktrailError('ARCHIVE_STORE_UNAVAILABLE', { key: GENESIS_KEY })
  return made
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
