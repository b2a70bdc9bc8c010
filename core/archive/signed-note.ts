/**
 * C2SP signed note with Ed25519 (c2sp.org/signed-note): text, an empty line, signature lines. Stricter than the
 * specification where it allows leniency: every signature line must belong to a known key and be valid, so nobody can
 * hang foreign bytes on a note.
 */
import assert from 'node:assert/strict'
import { createPublicKey, hash, sign, verify, type KeyObject } from 'node:crypto'
import { HooktrailError, isHooktrailError } from '../error/hooktrail-error.ts'
import type { Signer } from '../ports/signer.ts'

/** Signature type byte of Ed25519 in key hashes and verifier keys. */
const ED25519 = 0x01
const SIGNATURE_BYTES = 64
const SIGNATURES_MAX = 16
const SPLIT = Buffer.from('\n\n')

/** A heartbeat names every partition and all that came since the one before. */
export const NOTE_BYTES_MAX = 64 * 1024 * 1024
/** Of a short note that another document carries as text: a checkpoint, a delegation. */
export const NOTE_TEXT_LENGTH_MAX = 4096

/** A private key in this process. */
export interface NoteSigner extends Signer {
  readonly privateKey: KeyObject
}

export interface NoteVerifier {
  readonly name: string
  readonly keyHash: Buffer
  readonly vkey: string
  readonly publicKey: KeyObject
}

export interface OpenedNote {
  readonly text: string
  /** The keys that signed, in order. */
  readonly signedBy: readonly NoteVerifier[]
}

export function makeSigner(privateKey: KeyObject, name: string): NoteSigner {
  assertName(name)
  const raw = rawPublicKey(privateKey)
  const keyHash = keyHashOf(name, raw)
  const signRaw = (message: Buffer): Promise<Buffer> => Promise.resolve(sign(null, message, privateKey))
  return { name, keyHash, vkey: vkeyOf(name, raw), privateKey, sign: signRaw }
}

/** Name and id, as in the public key's line: what reports call a key. */
export function keyIdOf({ name, keyHash }: Pick<NoteVerifier, 'name' | 'keyHash'>): string {
  return `${name}+${keyHash.toString('hex')}`
}

/** Verifier key line of a public key. */
export function verifierKeyOf(name: string, key: KeyObject): string {
  assertName(name)
  return vkeyOf(name, rawPublicKey(key))
}

/** @throws ARCHIVE_NOTE_INVALID */
export function parseVerifierKey(vkey: string): NoteVerifier {
  const [, name, hashHex, encoded] =
    /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})$/.exec(vkey.trim()) ?? []
  if (name === undefined || hashHex === undefined || encoded === undefined)
    throw invalid('not a verifier key')
  const bytes = decodeBase64(encoded)
  if (bytes.length !== 33 || bytes[0] !== ED25519) throw invalid('not an Ed25519 verifier key')
  const raw = bytes.subarray(1)
  const keyHash = keyHashOf(name, raw)
  if (keyHash.toString('hex') !== hashHex) throw invalid('the hash in the verifier key is wrong')
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') }
  return { name, keyHash, vkey: vkeyOf(name, raw), publicKey: createPublicKey({ key: jwk, format: 'jwk' }) }
}

export function isVerifierKey(vkey: string): boolean {
  try {
    parseVerifierKey(vkey)
    return true
  } catch (error) {
    if (isHooktrailError(error)) return false
    throw error
  }
}

/** With a key in this process. @param text ends in a newline. */
export function signNote(text: string, signer: NoteSigner): Buffer {
  return noteOf(text, [{ signer, signature: sign(null, Buffer.from(text), signer.privateKey) }])
}

/**
 * With keys that may lie elsewhere: what comes back is checked, so that no note is ever written which nobody can believe.
 * @param text ends in a newline.
 * @throws ARCHIVE_SIGNER_FAILED
 */
export async function signNoteBy(text: string, signers: readonly Signer[]): Promise<Buffer> {
  const message = Buffer.from(text)
  const signed: NoteSignature[] = []
  for (const signer of signers) {
    const signature = await signer.sign(message)
    if (!verify(null, message, parseVerifierKey(signer.vkey).publicKey, signature)) {
      const reason = 'its signature does not fit its public key'
      throw new HooktrailError('ARCHIVE_SIGNER_FAILED', { key: keyIdOf(signer), reason })
    }
    signed.push({ signer, signature })
  }
  return noteOf(text, signed)
}

interface NoteSignature {
  readonly signer: Pick<Signer, 'name' | 'keyHash'>
  readonly signature: Buffer
}

function noteOf(text: string, signatures: readonly NoteSignature[]): Buffer {
  assert(text.endsWith('\n'), 'the text of a note ends in a newline')
  const lines = signatures.map(({ signer: { name, keyHash }, signature }) => {
    return `\u2014 ${name} ${Buffer.concat([keyHash, signature]).toString('base64')}\n`
  })
  return Buffer.from(`${text}\n${lines.join('')}`)
}

/** @throws ARCHIVE_NOTE_INVALID */
export function openNote(bytes: Buffer, known: readonly NoteVerifier[]): OpenedNote {
  const { text, lines } = splitNote(bytes)
  const ids = lines.map(keyIdOf)
  if (new Set(ids).size !== ids.length) throw invalid('two signatures of one key')
  const message = Buffer.from(text)
  const signedBy = lines.map((line) => {
    const key = known.find(({ name, keyHash }) => name === line.name && keyHash.equals(line.keyHash))
    if (key === undefined) throw invalid('signed by an unknown key', { signer: line.name })
    if (!verify(null, message, key.publicKey, line.signature)) {
      throw invalid('the signature does not fit the text', { signer: line.name })
    }
    return key
  })
  return { text, signedBy }
}

/** The one of `known` whose signature the note bears, unchecked; null where it is another's, or several. */
export function statedSigner(bytes: Buffer, known: readonly NoteVerifier[]): NoteVerifier | null {
  const [line, ...others] = splitNote(bytes).lines
  if (line === undefined || others.length > 0) return null
  return known.find(({ name, keyHash }) => name === line.name && keyHash.equals(line.keyHash)) ?? null
}

/** The text without any check of signatures, for reading where no key is known. @throws ARCHIVE_NOTE_INVALID */
export function readNoteUnverified(bytes: Buffer): string {
  return splitNote(bytes).text
}

interface SignatureLine {
  readonly name: string
  readonly keyHash: Buffer
  readonly signature: Buffer
}

function splitNote(bytes: Buffer): { text: string; lines: readonly SignatureLine[] } {
  const split = bytes.lastIndexOf(SPLIT)
  if (split < 0) throw invalid('no empty line before the signatures')
  const whole = bytes.toString('utf8')
  if (!Buffer.from(whole).equals(bytes)) throw invalid('not UTF-8')
  const text = bytes.toString('utf8', 0, split + 1)
  const tail = bytes.toString('utf8', split + 2)
  if (!tail.endsWith('\n')) throw invalid('no newline at the end')
  if (hasControl(whole)) throw invalid('control characters')
  const lines = tail.slice(0, -1).split('\n')
  if (lines.length > SIGNATURES_MAX) throw invalid('too many signatures')
  return { text, lines: lines.map(parseSignatureLine) }
}

function parseSignatureLine(line: string): SignatureLine {
  const [, name, encoded] = /^\u2014 ([^\s+]+) ([A-Za-z0-9+/]+={0,2})$/.exec(line) ?? []
  if (name === undefined || encoded === undefined) throw invalid('malformed signature line')
  const bytes = decodeBase64(encoded)
  if (bytes.length !== 4 + SIGNATURE_BYTES) throw invalid('a signature of the wrong length')
  return { name, keyHash: bytes.subarray(0, 4), signature: bytes.subarray(4) }
}

function hasControl(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit < 0x20 && unit !== 0x0a) return true
  }
  return false
}

/** Node ignores what is not base64 and spare bits; two spellings of one note must not both pass. */
function decodeBase64(encoded: string): Buffer {
  const bytes = Buffer.from(encoded, 'base64')
  if (bytes.toString('base64') !== encoded) throw invalid('not canonical base64')
  return bytes
}

function rawPublicKey(key: KeyObject): Buffer {
  const { crv, x } = createPublicKey(key).export({ format: 'jwk' })
  assert(crv === 'Ed25519' && x !== undefined, 'the key is an Ed25519 key')
  return Buffer.from(x, 'base64url')
}

function keyHashOf(name: string, raw: Buffer): Buffer {
  return hash(
    'sha256',
    Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(ED25519), raw]),
    'buffer',
  ).subarray(0, 4)
}

function vkeyOf(name: string, raw: Buffer): string {
  const encoded = Buffer.concat([Buffer.of(ED25519), raw]).toString('base64')
  return `${name}+${keyHashOf(name, raw).toString('hex')}+${encoded}`
}

function assertName(name: string): void {
  assert(/^[^\s+]+$/u.test(name), 'a key name has no space and no plus')
}

function invalid(reason: string, details: Record<string, unknown> = {}): HooktrailError {
  return new HooktrailError('ARCHIVE_NOTE_INVALID', { reason, ...details })
}
