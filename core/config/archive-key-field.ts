/**
 * A key that signs the archive, in its four forms: the key itself, a file, a program that prints it, or a program that signs
 * and keeps it. A text alone is the key itself.
 */
import { z } from 'zod'
import { parseVerifierKey } from '../archive/signed-note.ts'
import type { ArchiveKeyConfig } from './config.ts'
import { duration, list, publicKey, section, text } from './fields.ts'

const FORMS = ['pem', 'file', 'command', 'sign_command'] as const

const members = section({
  pem: text
    .refine((value) => value.includes('-----BEGIN PRIVATE KEY-----'), {
      error: () => 'must be an Ed25519 private key as PEM, such as ${file:/path/archive.key}',
    })
    .optional()
    .describe('the private key; `signing_key: "${file:…}"` is short for it'),
  file: text.optional().describe('a file that holds the private key as PEM, mode 0600'),
  command: list(text).optional().describe('a program and its arguments, which prints the private key as PEM'),
  sign_command: list(text)
    .optional()
    .describe('a program and its arguments, which gets bytes on stdin and prints their Ed25519 signature'),
  public_key: publicKey.optional().describe('sign_command: the key with which it signs'),
  timeout: duration(100, 300_000, 'from 100ms to 5m')
    .prefault('10s')
    .describe('command, sign_command: how long it may take'),
}).transform((given, context): ArchiveKeyConfig => {
  const key = keyOf(given)
  if (typeof key !== 'string') return key
  context.issues.push({ code: 'custom', message: key, input: undefined })
  return z.NEVER
})

export const archiveKey = z.preprocess((value) => (typeof value === 'string' ? { pem: value } : value), members)

interface Given {
  readonly pem?: string | undefined
  readonly file?: string | undefined
  readonly command?: readonly string[] | undefined
  readonly sign_command?: readonly string[] | undefined
  readonly public_key?: string | undefined
  readonly timeout: number
}

/** The key, or what is wrong with it. */
function keyOf(given: Given): ArchiveKeyConfig | string {
  const { pem, file, command, sign_command: signCommand, public_key: publicText = '', timeout } = given
  if (FORMS.filter((form) => given[form] !== undefined).length !== 1) return `must have one of ${FORMS.join(', ')}`
  if (signCommand === undefined && publicText !== '') return 'has a public_key, which only sign_command needs'
  if (pem !== undefined) return { kind: 'pem', pem }
  if (file !== undefined) return { kind: 'file', file }
  const [program, ...arguments_] = command ?? signCommand ?? []
  if (program === undefined) return 'names no program'
  const run = { program, arguments: arguments_, timeoutMs: timeout }
  if (command !== undefined) return { kind: 'command', run }
  if (publicText === '') return 'needs the public_key with which sign_command signs'
  return { kind: 'sign', run, vkey: parseVerifierKey(publicText).vkey }
}
