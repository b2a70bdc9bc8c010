/** The signer that a configuration names: a key that is read into this process, or a program that signs and keeps it. */
import type { ArchiveKeyConfig, KeyCommand } from '../../core/config/config.ts'
import { keyIdOf, parseVerifierKey } from '../../core/archive/signed-note.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { Signer } from '../../core/ports/signer.ts'
import { archiveSignerOf } from './key-files.ts'
import { parseSignature, runKeyProgram } from './key-program.ts'
import { readSecretFile } from './secret-file.ts'

const NOTHING = Buffer.alloc(0)

/** @param setting its name, for errors. @throws ARCHIVE_SIGNER_FAILED, ARCHIVE_KEY_FILE_OPEN, ARCHIVE_KEY_FILE_INVALID */
export async function openArchiveSigner(key: ArchiveKeyConfig, setting: string): Promise<Signer> {
  switch (key.kind) {
    case 'pem':
      return archiveSignerOf(key.pem, setting)
    case 'file':
      return signerOfFile(key.file)
    case 'command':
      return archiveSignerOf((await runKeyProgram(key.run, NOTHING)).toString('utf8'), `${setting}.command`)
    case 'sign':
      return programSigner(key.run, key.vkey)
  }
}

async function signerOfFile(file: string): Promise<Signer> {
  const pem = await readSecretFile(file)
  if (pem === null)
    throw new HooktrailError('ARCHIVE_KEY_FILE_INVALID', { file, reason: 'there is no such file' })
  return archiveSignerOf(pem, file)
}

function programSigner(run: KeyCommand, vkey: string): Signer {
  const { name, keyHash } = parseVerifierKey(vkey)
  return {
    name,
    keyHash,
    vkey,
    sign: async (message) => {
      const signature = parseSignature(await runKeyProgram(run, message))
      if (signature !== null) return signature
      const reason = 'what it printed is no Ed25519 signature of 64 bytes, raw, in hex or base64'
      throw new HooktrailError('ARCHIVE_SIGNER_FAILED', {
        key: keyIdOf({ name, keyHash }),
        program: run.program,
        reason,
      })
    },
  }
}
