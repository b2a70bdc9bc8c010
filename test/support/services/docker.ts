/**
 * Servers in containers, where a Docker engine answers: with the images of docker-compose.yml, on a port that stays
 * theirs when they are killed and started again, and removed by testcontainers also when the test dies. The engine is
 * asked once a run (global-setup.ts); HOOKTRAIL_TEST_DOCKER=0 leaves it alone.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { ContainerRuntimeClient } from 'testcontainers'
import { messageOf } from '../../../core/error/message-of.ts'
import { readComposeFile } from '../compose-file.ts'
import { freePorts } from './local-process.ts'

const PROBE_MS_MAX = 5_000
/** Of a server whose image is there: a pull comes before, and takes as long as it takes. */
const START_MS_MAX = 240_000

export interface Address {
  readonly host: string
  readonly port: number
}

export interface ContainerOptions {
  /** Of docker-compose.yml: the one whose image is taken. */
  readonly service?: string
  /** Of a server that does not stand there. */
  readonly image?: string
  /** Where it listens inside; the port of its address when absent, for servers that tell their address to clients. */
  readonly port?: number
  readonly env?: Readonly<Record<string, string>>
  readonly command: (address: Address) => readonly string[]
  /** A shell command inside that succeeds when the server can be used. */
  readonly ready: string
}

export interface Container extends AsyncDisposable {
  readonly address: Address
  /** Waits until the server is gone, or with SIGSTOP until none of its threads runs. */
  kill(signal: NodeJS.Signals): Promise<void>
  /** After a kill that ended it: the same data and address. Resolves when it can be used. */
  restart(): Promise<void>
  /** Output of a command inside. @throws when it fails */
  run(command: readonly string[]): Promise<string>
}

let engine: Promise<ContainerRuntimeClient | null> | null = null

/** Null where none answers. */
export function dockerEngine(): Promise<ContainerRuntimeClient | null> {
  if (process.env['HOOKTRAIL_TEST_DOCKER'] === '0') return Promise.resolve(null)
  return (engine ??= probe())
}

async function probe(): Promise<ContainerRuntimeClient | null> {
  const { getContainerRuntimeClient } = await import('testcontainers')
  // It rejects when no engine is found, and may hang on a remote one.
  const found = getContainerRuntimeClient().catch(() => null)
  return Promise.race([found, delay(PROBE_MS_MAX, null, { ref: false })])
}

/** Null where no engine answers; and, said loudly, where the server could not be started (its image cannot be had). */
export async function inDocker<T>(what: string, start: () => Promise<T>): Promise<T | null> {
  if ((await dockerEngine()) === null) return null
  try {
    return await start()
  } catch (error) {
    process.stderr.write(`NOT RUN: ${what} in Docker, because ${messageOf(error)}\n`)
    return null
  }
}

export async function startContainer(options: ContainerOptions): Promise<Container> {
  const client = await dockerEngine()
  if (client === null) throw new Error('no Docker engine answers')
  const { GenericContainer, Wait } = await import('testcontainers')
  const [port = 0] = await freePorts(1)
  const address = { host: client.info.containerRuntime.host, port }
  const image = options.image ?? readComposeFile().services.get(options.service ?? '')?.image ?? ''
  const started = await new GenericContainer(image)
    .withExposedPorts({ container: options.port ?? port, host: port })
    .withEnvironment({ ...options.env })
    .withCommand([...options.command(address)])
    .withWaitStrategy(Wait.forSuccessfulCommand(options.ready))
    .withStartupTimeout(START_MS_MAX)
    .start()
  const container = client.container.getById(started.getId())
  return {
    address,
    kill: async (signal) => {
      // The engine freezes all threads at once; a signal stops them one by one.
      if (signal === 'SIGSTOP') await container.pause()
      else if (signal === 'SIGCONT') await container.unpause()
      else {
        const ended = container.wait()
        await container.kill({ signal })
        await ended
      }
    },
    restart: () => started.restart(),
    run: async (command) => {
      const { exitCode, output } = await started.exec([...command])
      if (exitCode !== 0) throw new Error(`${command.join(' ')} ended with ${exitCode}: ${output}`)
      return output
    },
    [Symbol.asyncDispose]: async () => {
      await started.stop()
    },
  }
}
