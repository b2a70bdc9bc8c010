/**
 * The keys below $HOOKTRAIL_HOME: the archive's Ed25519 key with its public line, the digest key, the API token. Each
 * `ensure…` creates what is missing and reads what is there; none ever replaces a key.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import {
  makeSigner,
  parseVerifierKey,
  verifierKeyOf,
  type NoteSigner,
  type NoteVerifier,
} from '../../core/archive/signed-note.ts'
import { HooktrailError, isHooktrailError } from '../../core/error/hooktrail-error.ts'
import { createFileOnce, readSecretFile, SECRET_MODE } from './secret-file.ts'

/** Name of the archive's key inside notes. */
const ARCHIVE_KEY_NAME = 'hooktrail-archive'
const RANDOM_SECRET = /^[0-9a-f]{64}$/

/** Public file: one C2SP verifier key line. */
export function archivePublicKeyPath(home: string): string {
  return path.join(home, 'keys', 'archive.pub')
}

/** PKCS#8 PEM. */
export function archivePrivateKeyPath(home: string): string {
  return path.join(home, 'keys', 'archive.key')
}

/** @throws ARCHIVE_KEY_FILE_OPEN, ARCHIVE_KEY_FILE_INVALID */
export async function ensureArchiveKey(home: string): Promise<NoteSigner> {
  const file = archivePrivateKeyPath(home)
  return archiveSignerOf(await ensureSecret(file, newPrivateKeyPem), file)
}

/** Also where a service gives the key as PEM: under the name that keys of archives have. @throws ARCHIVE_PUBLIC_KEY_INVALID */
export async function readAnyPublicKeys(file: string): Promise<readonly NoteVerifier[]> {
  const text = await readPublicText(file)
  if (!text.includes('-----BEGIN PUBLIC KEY-----')) return readPublicKeys(file)
  try {
    return [parseVerifierKey(verifierKeyOf(ARCHIVE_KEY_NAME, createPublicKey(text)))]
  } catch (error) {
    throw publicKeyInvalid(file, 'it is no Ed25519 key', error)
  }
}

/** Verifier key lines of a public file; empty lines and lines after # are skipped. @throws ARCHIVE_PUBLIC_KEY_INVALID */
export async function readPublicKeys(file: string): Promise<readonly NoteVerifier[]> {
  const text = await readPublicText(file)
  if (text.includes('PRIVATE KEY'))
    throw publicKeyInvalid(file, 'it is a private key: keep it, and give archive.pub')
  const lines = text.split('\n').map((line) => line.trim())
  const keys = lines.filter((line) => line !== '' && !line.startsWith('#'))
  if (keys.length === 0) throw publicKeyInvalid(file, 'no key in it')
  try {
    return keys.map(parseVerifierKey)
  } catch (error) {
    const reason = isHooktrailError(error) ? error.details['reason'] : String(error)
    throw publicKeyInvalid(file, `a line is no public key: ${String(reason)}`)
  }
}

async function readPublicText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw publicKeyInvalid(file, 'it cannot be read', error)
  }
}

function publicKeyInvalid(file: string, reason: string, cause?: unknown): HooktrailError {
  return new HooktrailError('ARCHIVE_PUBLIC_KEY_INVALID', { file, reason }, cause)
}

/** 32 random bytes in hex: the key under which bodies and secrets are digested. */
export function ensureDigestKey(home: string): Promise<string> {
  return ensureRandomSecret(path.join(home, 'keys', 'digest.key'))
}

/** The API's administrator token. */
export function ensureApiToken(home: string): Promise<string> {
  return ensureRandomSecret(path.join(home, 'token'))
}

async function ensureRandomSecret(file: string): Promise<string> {
  const text = (await ensureSecret(file, () => `${randomBytes(32).toString('hex')}\n`)).trim()
  if (!RANDOM_SECRET.test(text)) throw new HooktrailError('ARCHIVE_KEY_FILE_INVALID', { file })
  return text
}

async function ensureSecret(file: string, make: () => string): Promise<string> {
  const found = await readSecretFile(file)
  if (found !== null) return found
  await createFileOnce(file, make(), SECRET_MODE)
  const created = await readSecretFile(file)
  if (created === null) throw new HooktrailError('ARCHIVE_KEY_FILE_INVALID', { file, reason: 'it vanished' })
  return created
}

export function newPrivateKeyPem(): string {
  return generateKeyPairSync('ed25519', {
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  }).privateKey
}

/** @param origin where the PEM came from, for the error. @throws ARCHIVE_KEY_FILE_INVALID */
export function archiveSignerOf(pem: string, origin: string): NoteSigner {
  try {
    return makeSigner(createPrivateKey(pem), ARCHIVE_KEY_NAME)
  } catch (error) {
    throw new HooktrailError('ARCHIVE_KEY_FILE_INVALID', { file: origin }, error)
  }
}
