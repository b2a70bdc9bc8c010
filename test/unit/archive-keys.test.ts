/** Fingerprints, signatures as programs print them, and keys in the configuration: forms that are held, and those refused. */
import assert from 'node:assert/strict'
import { generateKeyPairSync, sign } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { parseSignature } from '../../adapters/system/key-program.ts'
import { fingerprintOf } from '../../core/archive/key/fingerprint.ts'
import { readConfig } from '../../core/config/read-config.ts'
import { newSigner } from '../support/archive-keys.ts'

const VKEY = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'

test('a fingerprint is that of docs/formats.md, and no two keys have the same', async () => {
  const page = await readFile(new URL('../../docs/formats.md', import.meta.url), 'utf8')
  assert(page.includes(`\`${fingerprintOf(VKEY)}\``))
  const many = Array.from({ length: 50 }, () => fingerprintOf(newSigner().vkey))
  assert.equal(new Set(many).size, 50)
  for (const each of many) assert.match(each, /^(?:[0-9A-HJKMNP-TV-Z]{4}-){6}[0-9A-HJKMNP-TV-Z]{4}$/)
})

test('a signature is read in each form that programs print, and nothing else is one', () => {
  const signature = sign(null, Buffer.from('x'), generateKeyPairSync('ed25519').privateKey)
  for (const printed of [
    signature,
    `${signature.toString('hex')}\n`,
    `${signature.toString('base64')}\n`,
    `vault:v12:${signature.toString('base64')}\n`,
  ])
    assert.deepEqual(parseSignature(Buffer.from(printed)), signature)
  for (const printed of ['', 'no', signature.subarray(1), signature.toString('hex').slice(2)])
    assert.equal(parseSignature(Buffer.from(printed)), null)
})

interface Read {
  readonly faults: readonly string[]
  readonly redacted: string
  readonly signingKey: unknown
}

function read(archive: string): Read {
  const text = `version: 1\narchive: { ${archive} }\nsources: { demo: { verify: none } }\n`
  const files = { file: 'hooktrail.yaml', text, overlay: null }
  const result = readConfig(files, { env: {}, readFile: () => '' })
  if (!result.ok)
    return { faults: result.faults.map(({ message }) => message), redacted: '', signingKey: null }
  const { config } = result
  return { faults: [], redacted: JSON.stringify(config.redacted), signingKey: config.archive.signingKey }
}

test('a key has exactly one form, and a program that signs says with which key', () => {
  for (const bad of [
    'signing_key: {}',
    'signing_key: { file: a, command: [b] }',
    'signing_key: { command: [] }',
    'signing_key: { sign_command: [sign] }',
    `signing_key: { file: a, public_key: "${VKEY}" }`,
    'next_signing_key: { pem: x }',
  ])
    assert.equal(read(bad).faults.length, 1, bad)
  const program = { program: 'sign', arguments: ['--token', 'hush'], timeoutMs: 3_000 }
  const { signingKey, redacted, faults } = read(
    `signing_key: { sign_command: [sign, --token, hush], public_key: "${VKEY}", timeout: 3s }`,
  )
  assert.deepEqual(faults, [])
  assert.deepEqual(signingKey, { kind: 'sign', run: program, vkey: VKEY })
  assert.doesNotMatch(redacted, /hush/)
})

test('a private key in the configuration is no part of the configuration for people', () => {
  const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  for (const name of ['signing_key', 'next_signing_key']) {
    const { redacted, faults } = read(`${name}: ${JSON.stringify(pem)}`)
    assert.deepEqual(faults, [])
    assert.doesNotMatch(redacted, /PRIVATE KEY|MC4CAQ/)
  }
})
