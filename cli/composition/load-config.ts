/** Reads the configuration file, its overlay and what they refer to; every fault becomes one line with its place. */
import { isUtf8 } from 'node:buffer'
import { closeSync, openSync, readSync } from 'node:fs'
import path from 'node:path'
import { InvalidArgumentError, Option } from 'commander'
import { faultText, type ConfigFault } from '../../core/config/config-fault.ts'
import type { ConfigFile } from '../../core/config/config-text.ts'
import type { Settings } from '../../core/config/config.ts'
import { readApiSettings, type ApiNeeds, type ApiSettings } from '../../core/config/read-api-settings.ts'
import { readConfig, type ConfigResult } from '../../core/config/read-config.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'

const CONFIG_FILE = 'hooktrail.yaml'
/** Above what core/config accepts, so that a file that is cut here is refused there. */
const CONFIG_BYTES_MAX = 4 * 1_048_576
const REFERENCED_BYTES_MAX = 65_536
const OVERLAY_NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/

export interface ConfigFlags {
  readonly config: string
  /** Name of the overlay. */
  readonly env?: string
}

export function overlayOption(): Option {
  return new Option('--env <name>', 'merge hooktrail.<name>.yaml, beside the file, over it').argParser(
    (name: string) => {
      if (!OVERLAY_NAME.test(name)) throw new InvalidArgumentError('a name matches [a-z0-9][a-z0-9_-]{0,62}')
      return name
    },
  )
}

/** @throws CONFIG_FILE_UNREADABLE, CONFIG_INVALID */
export function loadConfig(flags: ConfigFlags): { config: Settings; warnings: readonly string[] } {
  const result = readConfigFiles(flags, process.env)
  if (result.ok) return result
  throw invalid(result.faults, flags)
}

/** For commands that only ask the API. @throws CONFIG_FILE_UNREADABLE, CONFIG_INVALID */
export function loadApiSettings(flags: ConfigFlags, needs: ApiNeeds): ApiSettings {
  const surroundings = { env: process.env, readFile: readReferenced }
  const result = readApiSettings(configFile(flags.config), surroundings, needs)
  if (result.ok) return result.settings
  throw invalid(result.faults, flags)
}

function invalid(faults: readonly ConfigFault[], flags: ConfigFlags): HooktrailError {
  return new HooktrailError('CONFIG_INVALID', {
    faults: `\n    ${faults.map(faultText).join('\n    ')}`,
    to_do: validateCommandOf(flags),
  })
}

/** Names the same files. */
function validateCommandOf({ config, env: overlay }: ConfigFlags): string {
  const flags = [
    config === CONFIG_FILE ? '' : ` -c ${config}`,
    overlay === undefined ? '' : ` --env ${overlay}`,
  ]
  return `hooktrail validate${flags.join('')}`
}

/** @throws CONFIG_FILE_UNREADABLE */
export function readConfigFiles({ config, env: overlay }: ConfigFlags, env: NodeJS.ProcessEnv): ConfigResult {
  const files = {
    ...configFile(config),
    overlay: overlay === undefined ? null : configFile(overlayPath(config, overlay)),
  }
  return readConfig(files, { env, readFile: readReferenced })
}

export function homeOf(env: NodeJS.ProcessEnv): string {
  const home = env['HOOKTRAIL_HOME']
  return home === undefined || home === '' ? '.hooktrail' : home
}

function overlayPath(file: string, name: string): string {
  const { dir, name: base, ext } = path.parse(file)
  return path.join(dir, `${base}.${name}${ext}`)
}

function configFile(file: string): ConfigFile {
  try {
    return { file, text: readAtMost(file, CONFIG_BYTES_MAX).toString('utf8') }
  } catch (error) {
    throw new HooktrailError('CONFIG_FILE_UNREADABLE', { file }, error)
  }
}

function readReferenced(file: string): string {
  const bytes = readAtMost(file, REFERENCED_BYTES_MAX + 1)
  if (bytes.length > REFERENCED_BYTES_MAX) throw new Error(`it is larger than ${REFERENCED_BYTES_MAX} bytes`)
  if (!isUtf8(bytes)) throw new Error('it is not UTF-8')
  return bytes.toString('utf8')
}

/** The first bytes of a file, which may have no end. */
function readAtMost(file: string, bytesMax: number): Buffer {
  const descriptor = openSync(file, 'r')
  try {
    const bytes = Buffer.alloc(bytesMax)
    let length = 0
    for (let read = -1; read !== 0 && length < bytesMax; length += read)
      read = readSync(descriptor, bytes, length, bytesMax - length, null)
    return bytes.subarray(0, length)
  } finally {
    closeSync(descriptor)
  }
}
