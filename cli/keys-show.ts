/** `hooktrail keys show|signing`: public keys, of the archive for auditors, of requests for receivers. Prints no secret. */
import { Command } from 'commander'
import { apiCommand, printList, type ApiFlags } from './api-options.ts'
import { archivePublicKeyPath, readPublicKeys } from '../adapters/system/key-files.ts'

export function keysShowCommand(): Command {
  return new Command('show')
    .description("print the archive's public key")
    .option(
      '--home <directory>',
      'default: $HOOKTRAIL_HOME, else .hooktrail',
      process.env['HOOKTRAIL_HOME'] ?? '.hooktrail',
    )
    .option('--json', 'one JSON object')
    .addHelpText('after', '\nExamples:\n  hooktrail keys show > archive.pub')
    .action(async ({ home, json }: { readonly home: string; readonly json?: boolean }) => {
      const keys = await readPublicKeys(archivePublicKeyPath(home))
      for (const { name, vkey } of keys) console.log(json === true ? JSON.stringify({ name, vkey }) : vkey)
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
