/** Reads the configuration file with the environment; every fault becomes one line with its place. */
import { readFileSync } from 'node:fs'
import type { Config } from '../../core/config/config.ts'
import { readConfig } from '../../core/config/read-config.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'

/** @throws CONFIG_FILE_UNREADABLE, CONFIG_INVALID */
export function loadConfig(file: string): { config: Config; warnings: readonly string[] } {
  const readFile = (path: string): string => readFileSync(path, 'utf8')
  const result = readConfig({ text: readText(file), file, env: process.env, readFile })
  if (result.ok) return result
  const faults = result.faults.map(
    ({ path, line, column, message, hint }) =>
      `${file}:${line}:${column} ${path} ${message}${hint === null ? '' : ` (${hint})`}`,
  )
  throw new HooktrailError('CONFIG_INVALID', { faults: `\n    ${faults.join('\n    ')}` })
}

export function homeOf(env: NodeJS.ProcessEnv): string {
  const home = env['HOOKTRAIL_HOME']
  return home === undefined || home === '' ? '.hooktrail' : home
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new HooktrailError('CONFIG_FILE_UNREADABLE', { file }, error)
  }
}
