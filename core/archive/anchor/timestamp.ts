/**
 * RFC 3161 time-stamps: the request for a checkpoint, and what a token says about it. The imprint is always compared, and
 * so is the signature with the certificate in the token; who that certificate belongs to is known only where the
 * authority's own certificate was given.
 */
import { hash, verify, X509Certificate } from 'node:crypto'
import { isHooktrailError } from '../../error/hooktrail-error.ts'
import { childAt, der, invalid, readChildren, readElement, type DerElement } from './der.ts'

const [INTEGER, OCTETS, NULL, OID, SEQUENCE, SET] = [0x02, 0x04, 0x05, 0x06, 0x30, 0x31]
const GENERALIZED_TIME = 0x18
const CONTEXT_0 = 0xa0
const SHA256 = Buffer.from('608648016503040201', 'hex')
const SIGNED_DATA = Buffer.from('2a864886f70d010702', 'hex')
const TST_INFO = Buffer.from('2a864886f70d0109100104', 'hex')
const MESSAGE_DIGEST = Buffer.from('2a864886f70d010904', 'hex')
const TIME_STAMPING = '1.3.6.1.5.5.7.3.8'
const TRUE = Buffer.from('0101ff', 'hex')
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g
/** granted, grantedWithMods */
const GRANTED_MAX = 1
const DIGESTS: ReadonlyMap<string, string> = new Map([
  ['608648016503040201', 'sha256'],
  ['608648016503040202', 'sha384'],
  ['608648016503040203', 'sha512'],
])

export interface Timestamp {
  readonly timeMs: number
  /** Subject of the certificate in the token, one line. */
  readonly by: string
  /** True where a given certificate vouches for that one. */
  readonly trusted: boolean
}

/** A request for SHA-256 of `message`, with the certificate in the answer. */
export function timestampRequest(message: Buffer): Buffer {
  const algorithm = der(SEQUENCE, der(OID, SHA256), der(NULL))
  const imprint = der(SEQUENCE, algorithm, der(OCTETS, hash('sha256', message, 'buffer')))
  return der(SEQUENCE, der(INTEGER, Buffer.of(1)), imprint, TRUE)
}

/**
 * @param response as the authority answered
 * @param authorities certificates that were given, each a root or whom a root vouches for
 * @throws ARCHIVE_ANCHOR_INVALID
 */
export function readTimestamp(
  response: Buffer,
  message: Buffer,
  authorities: readonly X509Certificate[],
): Timestamp {
  try {
    return parseTimestamp(response, message, authorities)
  } catch (error) {
    // A stranger's bytes: what OpenSSL says of a certificate or a key in them is that they are no token.
    throw isHooktrailError(error) ? error : invalid('it cannot be read', error)
  }
}

function parseTimestamp(
  response: Buffer,
  message: Buffer,
  authorities: readonly X509Certificate[],
): Timestamp {
  const info = readElement(response)
  const [status, token] = readChildren(info)
  if (info.whole.length !== response.length || status === undefined || token?.tag !== SEQUENCE)
    throw invalid('the authority granted no token')
  if (childAt(status, 0, INTEGER).content.readUInt8(0) > GRANTED_MAX) throw invalid('the authority refused')
  const signedData = signedDataOf(token)
  const content = contentOf(signedData)
  const timeMs = timeOf(readElement(content), message)
  const certificate = verifySignature(signedData, content)
  const trusted = isVouched(certificate, timeMs, authorities)
  if (authorities.length > 0 && !trusted)
    throw invalid('it is signed by nobody whom the given certificate vouches for')
  return { timeMs, by: certificate.subject.split('\n').join(', '), trusted }
}

function signedDataOf(token: DerElement): readonly DerElement[] {
  if (!childAt(token, 0, OID).content.equals(SIGNED_DATA)) throw invalid()
  return readChildren(childAt(childAt(token, 1, CONTEXT_0), 0, SEQUENCE))
}

/** Bytes of the TSTInfo. */
function contentOf(signedData: readonly DerElement[]): Buffer {
  const encapsulated = part(signedData, 2, SEQUENCE)
  if (!childAt(encapsulated, 0, OID).content.equals(TST_INFO)) throw invalid()
  return childAt(childAt(encapsulated, 1, CONTEXT_0), 0, OCTETS).content
}

/** The time, if the imprint is that of the message. */
function timeOf(info: DerElement, message: Buffer): number {
  const imprint = childAt(info, 2, SEQUENCE)
  const algorithm = DIGESTS.get(childAt(childAt(imprint, 0, SEQUENCE), 0, OID).content.toString('hex'))
  if (algorithm === undefined) throw invalid('its imprint is made by an unknown digest')
  if (!childAt(imprint, 1, OCTETS).content.equals(hash(algorithm, message, 'buffer')))
    throw invalid('its imprint is not that of the checkpoint')
  const [, year, month, day, hour, minute, second] =
    /^([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})(?:\.[0-9]+)?Z$/.exec(
      childAt(info, 4, GENERALIZED_TIME).content.toString('latin1'),
    ) ?? []
  const timeMs = Date.parse(
    `${year ?? ''}-${month ?? ''}-${day ?? ''}T${hour ?? ''}:${minute ?? ''}:${second ?? ''}Z`,
  )
  if (Number.isNaN(timeMs)) throw invalid('its time is none')
  return timeMs
}

/** CMS (RFC 5652 §5.4): the signed attributes hold the content's digest, and are what is signed. */
function verifySignature(signedData: readonly DerElement[], content: Buffer): X509Certificate {
  const signer = childAt(part(signedData, signedData.length - 1, SET), 0, SEQUENCE)
  const fields = readChildren(signer)
  const digest = DIGESTS.get(childAt(part(fields, 2, SEQUENCE), 0, OID).content.toString('hex'))
  const attributes = part(fields, 3, CONTEXT_0)
  const signature = part(fields, 5, OCTETS).content
  if (digest === undefined) throw invalid('it is signed over an unknown digest')
  const said = readChildren(attributes).find((each) => childAt(each, 0, OID).content.equals(MESSAGE_DIGEST))
  if (
    said === undefined ||
    !childAt(childAt(said, 1, SET), 0, OCTETS).content.equals(hash(digest, content, 'buffer'))
  )
    throw invalid('what it signs is not its content')
  const signed = Buffer.concat([Buffer.of(SET), attributes.whole.subarray(1)])
  const certificate = certificatesOf(signedData).find((each) => verifies({ digest, signed, signature }, each))
  if (certificate === undefined) throw invalid('its signature fits no certificate in it')
  return certificate
}

interface Signed {
  readonly digest: string
  readonly signed: Buffer
  readonly signature: Buffer
}

function verifies({ digest, signed, signature }: Signed, { publicKey, keyUsage }: X509Certificate): boolean {
  // Undefined where a certificate has no extended key usage, whatever the declared type says.
  if (!Array.isArray(keyUsage) || !keyUsage.includes(TIME_STAMPING)) return false
  return verify(digest, signed, publicKey, signature)
}

function certificatesOf(signedData: readonly DerElement[]): readonly X509Certificate[] {
  const set = signedData.find(({ tag }) => tag === CONTEXT_0)
  if (set === undefined) throw invalid('it has no certificate in it')
  return readChildren(set).map(({ whole }) => parseCertificate(whole))
}

/** Every certificate of a PEM text. @throws ARCHIVE_ANCHOR_INVALID */
export function parseCertificates(pem: string): readonly X509Certificate[] {
  return (pem.match(CERTIFICATE) ?? []).map(parseCertificate)
}

/** @throws ARCHIVE_ANCHOR_INVALID */
function parseCertificate(bytes: Buffer | string): X509Certificate {
  try {
    return new X509Certificate(bytes)
  } catch (error) {
    throw invalid('a certificate cannot be read', error)
  }
}

/** By one of those that were given, or by being one of them; both valid at that time. */
function isVouched(certificate: X509Certificate, timeMs: number, given: readonly X509Certificate[]): boolean {
  if (!isValidAt(certificate, timeMs)) return false
  return given.some(
    (authority) =>
      certificate.raw.equals(authority.raw) ||
      (isValidAt(authority, timeMs) &&
        authority.ca &&
        certificate.checkIssued(authority) &&
        certificate.verify(authority.publicKey)),
  )
}

function isValidAt({ validFromDate, validToDate }: X509Certificate, timeMs: number): boolean {
  return validFromDate.getTime() <= timeMs && timeMs <= validToDate.getTime()
}

function part(elements: readonly DerElement[], at: number, tag: number): DerElement {
  const found = elements[at]
  if (found?.tag !== tag) throw invalid()
  return found
}
