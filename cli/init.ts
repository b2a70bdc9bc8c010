/** `hooktrail init`: writes a first configuration, and never over one that is there. */
import { writeFileSync } from 'node:fs'
import { Command, Option } from 'commander'
import { secretVariable, templateConfig, type StarterScheme } from '../core/config/starter.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import { errnoOf } from '../adapters/system/errno.ts'

interface InitOptions {
  readonly config: string
  readonly template: StarterScheme
}

export function initCommand(): Command {
  return new Command('init')
    .description('write a first configuration')
    .option('-c, --config <file>', 'file to write', 'hooktrail.yaml')
    .addOption(
      new Option('--template <name>', 'who sends')
        .choices(['github', 'stripe', 'standard-webhooks'])
        .default('github'),
    )
    .addHelpText(
      'after',
      `
Examples:
  hooktrail init
  hooktrail init --template stripe -c stripe.yaml

Exit codes: 0 written, 1 not written`,
    )
    .action(({ config, template }: InitOptions) => {
      writeNew(config, templateConfig(template))
      console.log(`wrote ${config}; it takes the sender's secret from ${secretVariable(template)}. Next:`)
      console.log(`  export ${secretVariable(template)}=...\n  hooktrail validate -c ${config}`)
    })
}

function writeNew(file: string, text: string): void {
  try {
    writeFileSync(file, text, { flag: 'wx', mode: 0o600 })
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') throw new HooktrailError('CONFIG_FILE_EXISTS', { file }, error)
    throw error
  }
}
