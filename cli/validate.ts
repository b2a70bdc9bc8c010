/** `hooktrail validate`: every fault of a configuration with its place, or its warnings and one line for each source. */
import { readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import { Command } from 'commander'
import { readConfig, type ConfigResult } from '../core/config/read-config.ts'
import { summarizeSources } from '../core/config/warn-config.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'

interface ValidateOptions {
  readonly config: string
  readonly envFile?: string
  readonly json?: boolean
}

export function validateCommand(): Command {
  return new Command('validate')
    .description('check a configuration without starting anything')
    .option('-c, --config <file>', 'configuration file', 'hooktrail.yaml')
    .option('--env-file <file>', 'read further variables from this file')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  hooktrail validate
  hooktrail validate -c /etc/hooktrail.yaml --env-file /etc/hooktrail.env --json

Exit codes: 0 valid, 1 faults`,
    )
    .action((options: ValidateOptions) => {
      const env = { ...envOf(options.envFile), ...process.env }
      const result = readConfig({
        text: readText(options.config),
        file: options.config,
        env,
        readFile: readPlain,
      })
      console.log(options.json === true ? JSON.stringify(jsonOf(result)) : textOf(result, options.config))
      if (!result.ok) process.exitCode = 1
    })
}

function envOf(file: string | undefined): NodeJS.Dict<string> {
  return file === undefined ? {} : parseEnv(readText(file))
}

function readPlain(path: string): string {
  return readFileSync(path, 'utf8')
}

function readText(file: string): string {
  try {
    return readPlain(file)
  } catch (error) {
    throw new HooktrailError('CONFIG_FILE_UNREADABLE', { file }, error)
  }
}

function jsonOf(result: ConfigResult): unknown {
  if (!result.ok) return result
  const { config, warnings } = result
  return { ok: true, generation: config.generation, warnings, sources: summarizeSources(config) }
}

function textOf(result: ConfigResult, file: string): string {
  if (result.ok)
    return [
      ...result.warnings.map((warning) => `warning: ${warning}`),
      ...summarizeSources(result.config),
      `${file} is valid (generation ${result.config.generation})`,
    ].join('\n')
  const lines = result.faults.map(({ path, line, column, message, hint }) => {
    const help = hint === null ? '' : `\n    ${hint}`
    return `${file}:${line}:${column} ${path}${path === '' ? '' : ' '}${message}${help}`
  })
  return [...lines, `${result.faults.length} faults`].join('\n')
}
