/** `hooktrail keys show|signing`: public keys, of the archive for auditors, of requests for receivers. Prints no secret. */
import { Command } from 'commander'
import { apiCommand, printList, type ApiFlags } from './api-options.ts'
import { fingerprintOf } from '../core/archive/key/fingerprint.ts'
import { archivePublicKeyPath, readAnyPublicKeys } from '../adapters/system/key-files.ts'

interface ShowFlags {
  readonly home: string
  readonly json?: boolean
  readonly fingerprint?: boolean
}

const SHOW_HELP = `
Examples:
  hooktrail keys show > archive.pub
  hooktrail keys show archive.pub --fingerprint
  hooktrail keys show public.pem          (of a service: the line for public_key)`

export function keysShowCommand(): Command {
  return new Command('show')
    .description("print the archive's public key")
    .argument('[file]', 'a public file, or PEM, in place of that in the home')
    .option(
      '--home <directory>',
      'default: $HOOKTRAIL_HOME, else .hooktrail',
      process.env['HOOKTRAIL_HOME'] ?? '.hooktrail',
    )
    .option('--fingerprint', 'also the fingerprint, to be compared by eye or ear')
    .option('--json', 'one JSON object')
    .addHelpText('after', SHOW_HELP)
    .action(async (file: string | undefined, { home, json, fingerprint }: ShowFlags) => {
      for (const { name, vkey } of await readAnyPublicKeys(file ?? archivePublicKeyPath(home))) {
        const digits = fingerprintOf(vkey)
        if (json === true) console.log(JSON.stringify({ name, vkey, fingerprint: digits }))
        else console.log(fingerprint === true ? `${digits}  ${vkey}` : vkey)
      }
    })
}

export function keysSigningCommand(): Command {
  return apiCommand(
    'signing',
    'public keys that receivers verify v1a signatures with',
    'hooktrail keys signing --json',
  ).action(async (flags: ApiFlags) => {
    await printList(flags, '/api/signing-keys', [
      { title: 'HANDLER', field: 'handler' },
      { title: 'PUBLIC KEY', field: 'public_key' },
    ])
  })
}
