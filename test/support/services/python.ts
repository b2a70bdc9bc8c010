/**
 * Python with the packages of the independent verifier, in a virtual environment of its own, made once into the cache
 * through pip. The interpreter's version is in the cache's name: an environment belongs to the one that made it.
 */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { messageOf } from '../../../core/error/message-of.ts'
import { provisioned, ServiceUnavailableError } from './local-process.ts'

/** Of cryptography: signatures; zstandard: rows of jsonl.zst; pyarrow: rows of parquet. */
const PACKAGES = ['cryptography==50.0.2', 'zstandard==0.25.0', 'pyarrow==26.0.1']
const INSTALL_MS_MAX = 280_000

const run = promisify(execFile)

export interface Python {
  /** Of the interpreter. */
  readonly path: string
}

let opening: Promise<Python | string> | null = null

/** Or why it cannot be had, which is told on stderr once a file. */
export function pythonOrReason(): Promise<Python | string> {
  opening ??= open().catch((error: unknown) => {
    if (!(error instanceof ServiceUnavailableError)) throw error
    process.stderr.write(`NOT RUN, the independent verifier: ${error.message}\n`)
    return error.message
  })
  return opening
}

async function open(): Promise<Python> {
  const name = `python-${await pythonVersion()}-${PACKAGES.join('-').replaceAll('==', '')}`
  return { path: join(await provisioned(name, install), 'bin', 'python') }
}

async function pythonVersion(): Promise<string> {
  try {
    const { stdout } = await run('python3', ['-c', 'import platform; print(platform.python_version())'])
    return stdout.trim()
  } catch (error) {
    throw new ServiceUnavailableError(`there is no python3: ${messageOf(error)}`)
  }
}

async function install(folder: string): Promise<void> {
  try {
    await run('python3', ['-m', 'venv', folder], { timeout: INSTALL_MS_MAX })
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--only-binary=:all:']
    await run(join(folder, 'bin', 'python'), [...pip, ...PACKAGES], { timeout: INSTALL_MS_MAX })
  } catch (error) {
    throw new ServiceUnavailableError(`pip cannot install ${PACKAGES.join(', ')}: ${messageOf(error)}`)
  }
}
