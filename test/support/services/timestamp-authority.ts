/** A time-stamp authority of its own for a test: `openssl ts` with fresh keys, behind a small server on loopback. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { buffer } from 'node:stream/consumers'

export interface LocalAuthority extends AsyncDisposable {
  readonly url: string
  /** PEM of who vouches for the authority's certificate. */
  readonly ca: string
  readonly caFile: string
  /** What it answers from now on; 'down': 503. */
  mode: 'up' | 'down' | 'garbage'
}

export async function startAuthority(): Promise<LocalAuthority> {
  const folder = await mkdtemp(path.join(tmpdir(), 'timestamp-authority-'))
  const file = (name: string): string => path.join(folder, name)
  await writeFile(file('openssl.cnf'), configOf(folder))
  const config = ['-config', file('openssl.cnf')]
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc']
  openssl(
    'req',
    '-x509',
    ...newKey,
    ...config,
    '-extensions',
    'ca',
    '-subj',
    '/CN=test root',
    '-days',
    '2',
    '-keyout',
    file('ca.key'),
    '-out',
    file('ca.pem'),
  )
  openssl(
    'req',
    ...newKey,
    ...config,
    '-subj',
    '/CN=test authority',
    '-keyout',
    file('tsa.key'),
    '-out',
    file('tsa.csr'),
  )
  openssl(
    'x509',
    '-req',
    '-in',
    file('tsa.csr'),
    '-CA',
    file('ca.pem'),
    '-CAkey',
    file('ca.key'),
    '-CAcreateserial',
    '-days',
    '2',
    '-extfile',
    file('openssl.cnf'),
    '-extensions',
    'tsa_cert',
    '-out',
    file('tsa.pem'),
  )
  await writeFile(file('serial'), '01\n')
  let count = 0
  const state: Pick<LocalAuthority, 'mode'> = { mode: 'up' }
  const server = createServer((request, response) => {
    void (async () => {
      const query = await buffer(request)
      if (state.mode !== 'up') {
        response.writeHead(state.mode === 'down' ? 503 : 200).end('no token')
        return
      }
      const name = file(`query-${String((count += 1))}`)
      await writeFile(name, query)
      openssl('ts', '-reply', ...config, '-queryfile', name, '-out', `${name}.tsr`)
      response.setHeader('content-type', 'application/timestamp-reply')
      response.end(await readFile(`${name}.tsr`))
    })()
  })
  server.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  assert(typeof address === 'object' && address !== null)
  return Object.assign(state, {
    url: `http://127.0.0.1:${String(address.port)}/`,
    ca: await readFile(file('ca.pem'), 'utf8'),
    caFile: file('ca.pem'),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await rm(folder, { recursive: true })
    },
  })
}

function openssl(...args: readonly string[]): void {
  const { status, stderr } = spawnSync('openssl', args, { encoding: 'utf8' })
  assert.equal(status, 0, stderr)
}

function configOf(folder: string): string {
  return `
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical,CA:true
[tsa_cert]
extendedKeyUsage = critical,timeStamping
[tsa]
default_tsa = tsa1
[tsa1]
dir = ${folder}
serial = $dir/serial
crypto_device = builtin
signer_cert = $dir/tsa.pem
signer_key = $dir/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
accuracy = secs:1
ordering = no
tsa_name = no
ess_cert_id_chain = no
ess_cert_id_alg = sha256
`
}
