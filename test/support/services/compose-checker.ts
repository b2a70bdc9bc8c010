/**
 * Whether a file is a compose file: asked of `docker compose config` where the client has it, else of the reference
 * implementation that it is made of, built once with `go install` (without interpolation, which that program has not).
 */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { messageOf } from '../../../core/error/message-of.ts'
import { ROOT } from '../source-tree.ts'
import { provisioned, ServiceUnavailableError } from './local-process.ts'

const VERSION = 'v2.16.2'
const PACKAGE = `github.com/compose-spec/compose-go/v2/cmd@${VERSION}`
const BUILD_MS_MAX = 280_000

const run = promisify(execFile)

/** Resolves when the file is accepted, rejects with what is wrong. */
export type ComposeChecker = (file: string) => Promise<void>

/** @throws ServiceUnavailableError */
export async function composeChecker(): Promise<ComposeChecker> {
  if (await hasDockerCompose())
    return (file) => check('docker', [...DOCKER_COMPOSE, '-f', file, 'config', '--quiet'])
  const program = join(await provisioned(`compose-go-${VERSION}`, build), 'cmd')
  return (file) => check(program, ['--no-interpolation', file])
}

const DOCKER_COMPOSE = [
  ...['compose', '--project-directory', ROOT],
  ...['--env-file', join(ROOT, '.env.example'), '--profile', 'monitoring'],
]

async function hasDockerCompose(): Promise<boolean> {
  return run('docker', ['compose', 'version']).then(
    () => true,
    () => false,
  )
}

async function check(command: string, args: readonly string[]): Promise<void> {
  await run(command, [...args], { cwd: ROOT, maxBuffer: 16 * 1_048_576 })
}

async function build(folder: string): Promise<void> {
  // Our flags alone: a vendor or module setting of the caller must not decide what is built.
  const env = { ...process.env, GOBIN: folder, GOFLAGS: '-mod=mod', CGO_ENABLED: '0' }
  try {
    await run('go', ['install', '-ldflags', '-s -w', PACKAGE], { env, timeout: BUILD_MS_MAX })
  } catch (error) {
    throw new ServiceUnavailableError(`compose-go cannot be built with go install: ${messageOf(error)}`)
  }
}
