/**
 * A key that signs the archive, in its four forms: the key itself, a file, a program that prints it, or a program that signs
 * and keeps it. A text alone is the key itself.
 */
import { z } from 'zod'
import type { ArchiveKeyConfig } from './config.ts'
import { duration, list, publicKey, section, text } from './fields.ts'

const FORMS = ['pem', 'file', 'command', 'sign_command'] as const

export const archiveKeyMembers = section({
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
})

/** A text alone is the key. */
export const spelledOutKey = (value: unknown): unknown => (typeof value === 'string' ? { pem: value } : value)

export const archiveKey = z.preprocess(spelledOutKey, archiveKeyMembers)

type Given = z.output<typeof archiveKeyMembers>

/** What is wrong with it as a whole; null: nothing. */
export function archiveKeyFault(given: Given): string | null {
  const forms = FORMS.filter((form) => given[form] !== undefined)
  if (forms.length !== 1) return `must have one of ${FORMS.join(', ')}`
  const hasPublicKey = given.public_key !== undefined && given.public_key !== ''
  if (hasPublicKey && given.sign_command === undefined)
    return 'has a public_key, which sign_command alone needs'
  if (!hasPublicKey && given.sign_command !== undefined)
    return 'lacks the public_key with which sign_command signs'
  return given.command?.length === 0 || given.sign_command?.length === 0 ? 'names no program' : null
}

export function buildArchiveKey(given: Given | undefined): ArchiveKeyConfig | null {
  if (given === undefined) return null
  const { pem, file, command, sign_command: signCommand, public_key: vkey = '', timeout: timeoutMs } = given
  if (pem !== undefined) return { kind: 'pem', pem }
  if (file !== undefined) return { kind: 'file', file }
  const [program = '', ...rest] = command ?? signCommand ?? []
  const run = { program, arguments: rest, timeoutMs }
  return command === undefined ? { kind: 'sign', run, vkey } : { kind: 'command', run }
}
