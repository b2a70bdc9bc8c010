/** `hooktrail validate`: every fault of a configuration with its place, or its warnings and one line for each source. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { Command } from 'commander'
import { readSecretFile } from '../adapters/system/secret-file.ts'
import { FAULTS_MAX, type ConfigFault } from '../core/config/config-fault.ts'
import type { Settings } from '../core/config/config.ts'
import { generationOf } from '../core/config/generation.ts'
import { summarizeSources } from '../core/config/warn-config.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import { homeOf, overlayOption, readConfigFiles, type ConfigFlags } from './composition/load-config.ts'

interface ValidateFlags extends ConfigFlags {
  readonly envFile?: string
  readonly json?: boolean
}

export function validateCommand(): Command {
  return new Command('validate')
    .description('check a configuration without starting anything')
    .option('-c, --config <file>', 'configuration file', 'hooktrail.yaml')
    .addOption(overlayOption())
    .option('--env-file <file>', 'read further variables from this file')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  hooktrail validate
  hooktrail validate --env production
  hooktrail validate -c /etc/hooktrail.yaml --env-file /etc/hooktrail.env --json

Exit codes: 0 valid, 1 faults`,
    )
    .action(validate)
}

async function validate(flags: ValidateFlags): Promise<void> {
  const result = readConfigFiles(flags, { ...variablesOf(flags.envFile), ...process.env })
  if (!result.ok) {
    console.log(flags.json === true ? JSON.stringify(result) : faultsText(result.faults))
    process.exitCode = 1
    return
  }
  const { config, warnings } = result
  const generation = await knownGeneration(config)
  const sources = summarizeSources(config)
  if (flags.json === true) console.log(JSON.stringify({ ok: true, generation, warnings, sources }))
  else
    console.log(
      [
        ...warnings.map((warning) => `warning: ${warning}`),
        ...sources,
        `${flags.config} is valid${generation === null ? '' : ` (generation ${generation})`}`,
      ].join('\n'),
    )
}

/** Null before the first start of one box, which makes the digest key. */
async function knownGeneration(config: Settings): Promise<string | null> {
  const key =
    config.digestKey ?? (await readSecretFile(join(homeOf(process.env), 'keys', 'digest.key')))?.trim()
  return key === undefined ? null : generationOf(config, key)
}

function variablesOf(file: string | undefined): NodeJS.Dict<string> {
  if (file === undefined) return {}
  try {
    return parseEnv(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new HooktrailError('CONFIG_FILE_UNREADABLE', { file }, error)
  }
}

function faultsText(faults: readonly ConfigFault[]): string {
  const lines = faults.map(({ file, path, line, column, message, hint }) => {
    const help = hint === null ? '' : `\n    ${hint}`
    return `${file}:${line}:${column} ${path}${path === '' ? '' : ' '}${message}${help}`
  })
  const count = faults.length === 1 ? '1 fault' : `${faults.length} faults`
  return [...lines, faults.length < FAULTS_MAX ? count : `${count}; more are not listed`].join('\n')
}
