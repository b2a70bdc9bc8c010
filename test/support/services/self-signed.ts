/** One self-signed certificate for 127.0.0.1 and localhost: authority, server and client at once, as PEM. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ServiceUnavailableError } from './local-process.ts'

export interface Certificate {
  readonly key: string
  readonly certificate: string
}

export interface CertificateFiles extends Certificate, AsyncDisposable {
  readonly keyFile: string
  readonly certFile: string
}

/** @throws ServiceUnavailableError where openssl is missing */
export async function createCertificate(): Promise<Certificate> {
  const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1'
  const subject = ['-days', '1', '-subj', '/CN=localhost', '-addext', names]
  const make = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', '-', '-out', '-', ...subject]
  try {
    const { stdout } = await promisify(execFile)('openssl', make)
    const at = stdout.indexOf('-----BEGIN CERTIFICATE')
    return { key: stdout.slice(0, at), certificate: stdout.slice(at) }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
      throw new ServiceUnavailableError('openssl is not installed', { cause: error })
    throw error
  }
}

/** For servers that take files; removed with the folder that holds them. */
export async function createCertificateFiles(): Promise<CertificateFiles> {
  const made = await createCertificate()
  const folder = await mkdtemp(join(tmpdir(), 'hooktrail-tls-'))
  const [keyFile, certFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  await writeFile(keyFile, made.key, { mode: 0o600 })
  await writeFile(certFile, made.certificate)
  return {
    ...made,
    keyFile,
    certFile,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}
