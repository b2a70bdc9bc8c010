/**
 * Programs that keep the archive's key: one prints it, one signs with it. They get bytes on stdin and no shell; what they
 * take too long for is ended. Nothing that a program printed on stdout is ever told: it may be the key.
 */
import { spawn } from 'node:child_process'
import type { KeyCommand } from '../../core/config/config.ts'
import { messageOf } from '../../core/error/message-of.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'

const OUTPUT_BYTES_MAX = 64 * 1024
/** Of what it complains about, so much is told. */
const COMPLAINT_CHARACTERS = 300
const SIGNATURE_BYTES = 64
/** Vault's transit engine writes its key version before the signature. */
const VAULT_PREFIX = /^vault:v[0-9]+:/

/** @returns what it printed. @throws ARCHIVE_SIGNER_FAILED */
export async function runKeyProgram(run: KeyCommand, stdin: Buffer): Promise<Buffer> {
  const { program, timeoutMs } = run
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  const fail = (reason: string): void => {
    reject(new HooktrailError('ARCHIVE_SIGNER_FAILED', { program, reason }))
  }
  const child = spawn(program, run.arguments, { stdio: 'pipe', timeout: timeoutMs, killSignal: 'SIGKILL' })
  const printed = collect(child.stdout)
  const complaints = collect(child.stderr)
  child.on('error', (error) => {
    fail(messageOf(error))
  })
  // A program that does not read what it should sign closes its stdin early; its exit tells.
  child.stdin.on('error', () => undefined)
  child.stdin.end(stdin)
  child.on('close', (code, signal) => {
    if (code === 0) resolve(printed.bytes())
    else if (signal !== null) fail(`it was ended after ${String(timeoutMs)} ms (${signal})`)
    else fail(`exit ${String(code)}: ${complaintOf(complaints.bytes())}`)
  })
  return promise
}

/** Raw, in hex or in base64. @returns null where it is no signature */
export function parseSignature(printed: Buffer): Buffer | null {
  if (printed.length === SIGNATURE_BYTES) return printed
  const text = printed.toString('latin1').trim().replace(VAULT_PREFIX, '')
  const bytes = Buffer.from(text, /^[0-9a-fA-F]{128}$/.test(text) ? 'hex' : 'base64')
  return bytes.length === SIGNATURE_BYTES ? bytes : null
}

/** What goes beyond the bound is read and dropped, so that the program can end. */
function collect(stream: NodeJS.ReadableStream): { bytes(): Buffer } {
  const chunks: Buffer[] = []
  let size = 0
  stream.on('data', (chunk: Buffer) => {
    if (size + chunk.length <= OUTPUT_BYTES_MAX) chunks.push(chunk)
    size += chunk.length
  })
  return { bytes: () => Buffer.concat(chunks) }
}

function complaintOf(bytes: Buffer): string {
  const text = bytes.toString('utf8').trim()
  if (text === '') return 'it says nothing'
  return text.includes('PRIVATE KEY') ? 'what it says holds a key' : text.slice(-COMPLAINT_CHARACTERS)
}
