/**
 * `hooktrail keys rotate`: another key is put at hand for the archiver, which brings it into force. Where the archive has a
 * root the key waits for the root's word: the request is carried there, and the answer back. The old key stays in its file.
 */
import path from 'node:path'
import { Command } from 'commander'
import { systemClock } from '../adapters/system/clock.ts'
import { nextDelegationPath, nextKeyPath } from '../adapters/system/home-keys.ts'
import {
  archivePublicKeyPath,
  archiveSignerOf,
  newPrivateKeyPem,
  readPublicKeys,
} from '../adapters/system/key-files.ts'
import { createLogger } from '../adapters/system/logger.ts'
import {
  createFileOnce,
  PUBLIC_MODE,
  readSecretFile,
  replaceFile,
  SECRET_MODE,
} from '../adapters/system/secret-file.ts'
import { openArchiveSigner } from '../adapters/system/archive-signer.ts'
import type { KeyChain } from '../core/archive/key/key-chain.ts'
import { openDelegation } from '../core/archive/key/delegation.ts'
import type { DelegationRequest } from '../core/archive/key/delegation-request.ts'
import { fingerprintOf } from '../core/archive/key/fingerprint.ts'
import { readKeyChain, readKeyNotes } from '../core/archive/key/read-key-chain.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import { NEVER } from '../core/deadline.ts'
import type { ArchiveStore } from '../core/ports/archive-store.ts'
import { archiveReader } from './composition/archive-stores.ts'
import { homeOf, loadConfig, overlayOption, type ConfigFlags } from './composition/load-config.ts'
import { createNew, readCarried } from './keys-ceremony.ts'

/** An archiver that runs looks every five seconds. */
const WAIT_MS_MAX = 60_000
const LOOK_MS = 500

interface RotateFlags extends ConfigFlags {
  readonly request?: string
  readonly delegation?: string
}

export function keysRotateCommand(): Command {
  return new Command('rotate')
    .description('let another key sign the archive from now on')
    .option('-c, --config <file>', 'configuration file', 'hooktrail.yaml')
    .addOption(overlayOption())
    .option('--request <file>', 'archive with a root key: make the key, and write what the root has to say')
    .option('--delegation <file>', 'what the root said: then the key comes into force')
    .addHelpText('after', HELP)
    .action(rotate)
}

async function rotate(flags: RotateFlags): Promise<void> {
  await using opened = new AsyncDisposableStack()
  const { config } = loadConfig(flags)
  const home = path.resolve(homeOf(process.env))
  const place = { config, home, clock: systemClock, logger: createLogger('warn') }
  const store = await archiveReader(place, opened, NEVER)()
  const chain = store && (await readKeyChain(store))
  if (store === null || chain === null)
    throw impossible('there is no archive yet: its first key needs no rotation')
  if (config.archive.nextSigningKey === null && config.archive.signingKey !== null)
    throw impossible('archive.signing_key names the key: set archive.next_signing_key beside it')
  const isGiven = config.archive.nextSigningKey !== null
  const key = config.archive.nextSigningKey
    ? (await openArchiveSigner(config.archive.nextSigningKey, 'archive.next_signing_key')).vkey
    : await nextKey(home, flags, chain)
  if (chain.hasRoot && flags.delegation === undefined) {
    await writeRequest(flags.request, requestOf(chain, key))
    return
  }
  if (flags.delegation !== undefined) await takeDelegation(home, { file: flags.delegation, chain, key })
  if (isGiven) console.log('the archiver brings it into force at its next start')
  else await waitFor(store, chain, key)
}

/** Made once: a second call goes on where the first one was interrupted. */
async function nextKey(home: string, { request }: RotateFlags, chain: KeyChain): Promise<string> {
  const published = await readPublicKeys(archivePublicKeyPath(home))
  if (!chain.includes(published)) throw impossible(`the archive is not of the keys in ${home}`)
  if (chain.hasRoot || request === undefined)
    await createFileOnce(nextKeyPath(home), newPrivateKeyPem(), SECRET_MODE)
  const pem = await readSecretFile(nextKeyPath(home))
  if (pem === null) throw impossible('the archive has no root key: --request has nothing to ask')
  return archiveSignerOf(pem, nextKeyPath(home)).vkey
}

function requestOf(chain: KeyChain, key: string): DelegationRequest {
  return {
    kind: 'delegation-request',
    format_version: 1,
    archive_id: chain.genesis.archive_id,
    root_key: chain.root.vkey,
    key,
    replaces: chain.newest.verifier.vkey,
  }
}

async function writeRequest(file: string | undefined, request: DelegationRequest): Promise<void> {
  if (file === undefined)
    throw impossible('the archive has a root key: give --request FILE, then --delegation FILE')
  await createNew(path.resolve(file), `${JSON.stringify(request, null, 2)}\n`, PUBLIC_MODE)
  console.log(`new key       ${fingerprintOf(request.key)}  ${request.key}`)
  console.log(`in place of   ${fingerprintOf(request.replaces ?? '')}  ${request.replaces ?? ''}`)
  console.log(`\nCarry ${file} to the root key, and the note back:`)
  console.log(
    `  hooktrail keys delegate --root-key root.key --request ${path.basename(file)} --out next.note`,
  )
  console.log('  hooktrail keys rotate --delegation next.note')
}

interface GivenDelegation {
  readonly file: string
  readonly chain: KeyChain
  readonly key: string
}

/** @throws ARCHIVE_DELEGATION_INVALID */
async function takeDelegation(home: string, { file, chain, key }: GivenDelegation): Promise<void> {
  const note = await readCarried(file)
  const opened = openDelegation(note)
  const fault = chain.faultAsNext(opened) ?? (opened.document.key === key ? null : 'it is for another key')
  if (fault !== null) throw new HooktrailError('ARCHIVE_DELEGATION_INVALID', { file, reason: fault })
  await replaceFile(nextDelegationPath(home), note, PUBLIC_MODE)
}

async function waitFor(store: ArchiveStore, chain: KeyChain, key: string): Promise<void> {
  const until = systemClock.monotonic() + WAIT_MS_MAX
  while (chain.newest.verifier.vkey !== key) {
    if (systemClock.monotonic() > until) {
      console.log('the key is at hand: an archiver brings it into force when it runs')
      return
    }
    await systemClock.sleep(LOOK_MS, NEVER)
    await readKeyNotes(store, chain)
  }
  console.log(`signs from the next heartbeat on: ${fingerprintOf(key)}  ${key}`)
  console.log(
    'The public key that auditors hold stays good. The old private key lies in keys/retired-*.key: remove it.',
  )
}

function impossible(reason: string): HooktrailError {
  return new HooktrailError('KEYS_ROTATION_IMPOSSIBLE', { reason })
}

const HELP = `
An archive without a root key: the old key alone vouches for the new one (docs/keys.md says what that proves and what not).

Examples:
  hooktrail keys rotate
  hooktrail keys rotate --request request.json
  hooktrail keys rotate --delegation next.note

Exit codes: 0 in force, or at hand for the next start; 64 it cannot be done from here; 66 archive or files cannot be used`
