/**
 * `hooktrail keys ceremony|delegate|delegation`: what is done where the root key lies, on a machine without a network. Files
 * are new ones in a folder that is named; the root key never goes into a home of hooktrail, where a running one could be read.
 */
import { createPrivateKey } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { ulid } from 'ulid'
import { archiveSignerOf, newPrivateKeyPem } from '../adapters/system/key-files.ts'
import { createFileOnce, PUBLIC_MODE, readSecretFile, SECRET_MODE } from '../adapters/system/secret-file.ts'
import { encodeDelegation, openDelegation, type Delegation } from '../core/archive/key/delegation.ts'
import { parseDelegationRequest } from '../core/archive/key/delegation-request.ts'
import { fingerprintOf } from '../core/archive/key/fingerprint.ts'
import { transcriptText } from '../core/archive/key/transcript.ts'
import { isVerifierKey, makeSigner, signNote, type NoteSigner } from '../core/archive/signed-note.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import { parseDurationMs } from '../core/units.ts'
import { homeOf } from './composition/load-config.ts'
import { packageVersion } from '../adapters/system/package-root.ts'

/** Name of root keys inside notes. */
const ROOT_KEY_NAME = 'hooktrail-root'
/** A year, and time to be late. */
const VALID = '400d'

interface CeremonyFlags {
  readonly out: string
  readonly rootKey?: string
  readonly publicKey?: string
  readonly valid: number
  readonly witness: readonly string[]
}

export function keysCeremonyCommand(): Command {
  return new Command('ceremony')
    .description('make a root key and the first signing key of an archive, offline')
    .requiredOption('--out <folder>', 'a new folder for the files, outside $HOOKTRAIL_HOME')
    .option('--root-key <file>', 'a root key that is there already, for another archive')
    .option('--public-key <key>', 'of a signing key that a service keeps: then none is made', verifierKey)
    .option('--valid <duration>', 'how long the signing key holds', duration, duration(VALID))
    .option('--witness <name>', 'who is there, for the transcript; may be repeated', collect, [])
    .addHelpText('after', CEREMONY_HELP)
    .action(async (flags: CeremonyFlags) => {
      console.log(await holdCeremony(flags, process.env))
    })
}

/** @returns the transcript. @throws KEYS_PLACE_REFUSED, ARCHIVE_KEY_FILE_OPEN, ARCHIVE_KEY_FILE_INVALID */
async function holdCeremony(flags: CeremonyFlags, env: NodeJS.ProcessEnv): Promise<string> {
  const folder = path.resolve(flags.out)
  refuseHome(folder, env)
  const write = async (name: string, text: string, mode: number): Promise<void> => {
    await createNew(path.join(folder, name), text, mode)
  }
  const rootPem = flags.rootKey === undefined ? newPrivateKeyPem() : await readRootPem(flags.rootKey)
  const root = rootOf(rootPem, flags.rootKey ?? 'root.key')
  const pem = flags.publicKey === undefined ? newPrivateKeyPem() : null
  const key = pem === null ? (flags.publicKey ?? '') : archiveSignerOf(pem, 'archive.key').vkey
  const now = Date.now()
  const delegation = delegationOf(
    root,
    { archiveId: ulid(now), key, replaces: null, reason: null },
    now + flags.valid,
  )
  const text = transcriptText({
    delegation,
    witnesses: flags.witness,
    program: `hooktrail ${packageVersion()}`,
    madeSigningKey: pem !== null,
  })
  // The root first: what it signed would be worth nothing without it.
  if (flags.rootKey === undefined) await write('root.key', rootPem, SECRET_MODE)
  if (pem !== null) await write('archive.key', pem, SECRET_MODE)
  await write('archive.note', signNote(encodeDelegation(delegation), root).toString(), PUBLIC_MODE)
  await write('archive.pub', `${root.vkey}\n`, PUBLIC_MODE)
  await write('transcript.txt', text, PUBLIC_MODE)
  return text
}

interface DelegateFlags {
  readonly rootKey: string
  readonly request: string
  readonly out: string
  readonly reason?: string
  readonly valid: number
}

export function keysDelegateCommand(): Command {
  return new Command('delegate')
    .description('let the root say that another key may sign, offline')
    .requiredOption('--root-key <file>', 'the root key')
    .requiredOption('--request <file>', 'what hooktrail keys rotate --request wrote')
    .requiredOption('--out <file>', 'a new file, to be carried back')
    .option('--reason <text>', 'why the key before cannot agree: it is lost, or stolen')
    .option('--valid <duration>', 'how long the new key holds', duration, duration(VALID))
    .addHelpText('after', DELEGATE_HELP)
    .action(async (flags: DelegateFlags) => {
      const root = rootOf(await readRootPem(flags.rootKey), flags.rootKey)
      const request = parseDelegationRequest(await readCarried(flags.request))
      if (request.root_key !== root.vkey)
        throw new HooktrailError('ARCHIVE_DELEGATION_INVALID', { reason: 'the archive has another root key' })
      const { archive_id: archiveId, key, replaces } = request
      const said = { archiveId, key, replaces, reason: flags.reason ?? null }
      const delegation = delegationOf(root, said, Date.now() + flags.valid)
      const note = signNote(encodeDelegation(delegation), root).toString()
      await createNew(path.resolve(flags.out), note, PUBLIC_MODE)
      console.log(delegationText(delegation))
    })
}

export function keysDelegationCommand(): Command {
  return new Command('delegation')
    .description('what a root said of a key: the note of ceremony or delegate')
    .argument('<file>', 'archive.note')
    .option('--json', 'one JSON object')
    .addHelpText('after', '\nExamples:\n  hooktrail keys delegation archive.note')
    .action(async (file: string, { json }: { readonly json?: boolean }) => {
      const { document } = openDelegation(await readCarried(file))
      console.log(json === true ? JSON.stringify(document) : delegationText(document))
    })
}

export function delegationText({ archive_id: archiveId, created_at: at, ...said }: Delegation): string {
  const replaces =
    said.replaces === null ? [] : [`in place of   ${fingerprintOf(said.replaces)}  ${said.replaces}`]
  const reason = said.reason === null ? [] : [`without it, as ${said.reason}`]
  return [
    `archive       ${archiveId}`,
    `root key      ${fingerprintOf(said.root_key)}  ${said.root_key}`,
    `signing key   ${fingerprintOf(said.key)}  ${said.key}`,
    ...replaces,
    ...reason,
    `said at       ${at}, until ${said.until ?? 'it is replaced'}`,
  ].join('\n')
}

interface Said {
  readonly archiveId: string
  readonly key: string
  readonly replaces: string | null
  readonly reason: string | null
}

function delegationOf(root: NoteSigner, said: Said, untilMs: number): Delegation {
  return {
    kind: 'delegation',
    format_version: 1,
    archive_id: said.archiveId,
    created_at: new Date().toISOString(),
    root_key: root.vkey,
    key: said.key,
    replaces: said.replaces,
    reason: said.reason,
    until: new Date(untilMs).toISOString(),
  }
}

/** What was carried from one machine to the other. @throws ARCHIVE_DELEGATION_INVALID */
export async function readCarried(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: unknown) => {
    throw new HooktrailError('ARCHIVE_DELEGATION_INVALID', { file, reason: 'it cannot be read' }, error)
  })
}

/** @throws ARCHIVE_KEY_FILE_OPEN, ARCHIVE_KEY_FILE_INVALID */
async function readRootPem(file: string): Promise<string> {
  const pem = await readSecretFile(file)
  if (pem !== null) return pem
  throw new HooktrailError('ARCHIVE_KEY_FILE_INVALID', { file, reason: 'there is no such file' })
}

function rootOf(pem: string, file: string): NoteSigner {
  try {
    return makeSigner(createPrivateKey(pem), ROOT_KEY_NAME)
  } catch (error) {
    throw new HooktrailError('ARCHIVE_KEY_FILE_INVALID', { file }, error)
  }
}

/** @throws KEYS_PLACE_REFUSED */
export async function createNew(file: string, text: string, mode: number): Promise<void> {
  if ((await createFileOnce(file, text, mode)) === 'created') return
  throw new HooktrailError('KEYS_PLACE_REFUSED', { file, reason: 'it is there already' })
}

function refuseHome(folder: string, env: NodeJS.ProcessEnv): void {
  const home = path.resolve(homeOf(env))
  if (folder !== home && !folder.startsWith(`${home}${path.sep}`)) return
  const reason = 'a root key does not belong into $HOOKTRAIL_HOME'
  throw new HooktrailError('KEYS_PLACE_REFUSED', { file: folder, reason })
}

function verifierKey(text: string): string {
  if (!isVerifierKey(text)) throw new InvalidArgumentError('a public key is one line, name+id+key')
  return text.trim()
}

function duration(text: string): number {
  const ms = parseDurationMs(text)
  if (ms === null || ms <= 0) throw new InvalidArgumentError('a duration is written like 400d')
  return ms
}

function collect(name: string, before: readonly string[]): readonly string[] {
  return [...before, name]
}

const CEREMONY_HELP = `
Files: root.key and archive.key (mode 0600), archive.note (what the root says of the signing key), archive.pub (the root's
public key), transcript.txt (one page, which is printed as well). docs/keys.md says what goes where.

Examples:
  hooktrail keys ceremony --out /media/safe/ceremony --witness "A. Keeper" --witness "B. Auditor"
  hooktrail keys ceremony --out ./second --root-key /media/safe/ceremony/root.key

Exit codes: 0 done, 64 usage or a folder in use, 66 a key file that cannot be used`

const DELEGATE_HELP = `
Compare the fingerprints that it prints with those that hooktrail keys rotate --request printed.

Examples:
  hooktrail keys delegate --root-key root.key --request request.json --out next.note
  hooktrail keys delegate --root-key root.key --request request.json --out next.note --reason "the machine was stolen"`
