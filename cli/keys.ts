/** `hooktrail keys …` */
import { Command } from 'commander'
import { keysShowCommand, keysSigningCommand } from './keys-show.ts'

export function keysCommand(): Command {
  return new Command('keys')
    .description('public keys of the archive and of signatures')
    .addCommand(keysShowCommand())
    .addCommand(keysSigningCommand())
}
