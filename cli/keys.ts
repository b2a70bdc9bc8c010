/** `hooktrail keys …` */
import { Command } from 'commander'
import { keysCeremonyCommand, keysDelegateCommand, keysDelegationCommand } from './keys-ceremony.ts'
import { keysRotateCommand } from './keys-rotate.ts'
import { keysShowCommand, keysSigningCommand } from './keys-show.ts'

export function keysCommand(): Command {
  return new Command('keys')
    .description('the keys of the archive and of signatures')
    .addCommand(keysShowCommand())
    .addCommand(keysSigningCommand())
    .addCommand(keysCeremonyCommand())
    .addCommand(keysDelegateCommand())
    .addCommand(keysDelegationCommand())
    .addCommand(keysRotateCommand())
}
