/**
 * Certificates of requests to a handler: all of it must fit together when the configuration is read, since a wrong pair
 * would fail at every event. Says what is wrong and shows nothing of a key.
 */
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto'
import type { Report } from './config-fault.ts'
import type { Path } from './config-tree.ts'

export interface ClientTls {
  readonly url: string
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

export function checkClientTls(at: Path, { url, ca, cert, key }: ClientTls, report: Report): void {
  if (!url.startsWith('https:'))
    report({ at, message: 'needs an https URL', hint: 'url: https://…, or remove tls' })
  if (ca !== undefined && readCertificates(ca) === null)
    report({ at: [...at, 'ca'], message: 'is not PEM with certificates alone' })
  if ((cert === undefined) !== (key === undefined)) {
    report({ at: [...at, cert === undefined ? 'key' : 'cert'], message: 'cert and key belong together' })
    return
  }
  if (cert !== undefined && key !== undefined) checkPair(at, { cert, key }, report)
}

function checkPair(at: Path, { cert, key }: { cert: string; key: string }, report: Report): void {
  const [own] = readCertificates(cert) ?? []
  const privateKey = readKey(key)
  if (own === undefined)
    report({ at: [...at, 'cert'], message: 'is not PEM with certificates, the own one first' })
  if (privateKey === null)
    report({ at: [...at, 'key'], message: 'is not a PEM private key without a passphrase' })
  if (own !== undefined && privateKey !== null && !own.checkPrivateKey(privateKey))
    report({ at: [...at, 'key'], message: 'does not belong to cert' })
}

/** Null when there is none, or one of them cannot be read. */
function readCertificates(pem: string): readonly X509Certificate[] | null {
  const blocks = pem.match(CERTIFICATE) ?? []
  try {
    const certificates = blocks.map((block) => new X509Certificate(block))
    return certificates.length > 0 && certificates.length === pem.split('-----BEGIN ').length - 1
      ? certificates
      : null
  } catch {
    return null
  }
}

function readKey(pem: string): KeyObject | null {
  try {
    return createPrivateKey(pem)
  } catch {
    return null
  }
}
