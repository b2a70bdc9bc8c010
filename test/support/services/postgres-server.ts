/**
 * A real Postgres for fault tests, the one that comes with hooktrail, under the test's own control: unlike the product's
 * own one it stays away after a kill until it is started again, on the same folder and socket.
 */
import { execFile } from 'node:child_process'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startOwnPostgres, type OwnPostgres } from '../../../adapters/postgres/own-postgres.ts'
import { systemClock } from '../../../adapters/system/clock.ts'
import { silentLogger } from '../postgres.ts'

const run = promisify(execFile)

export interface PostgresServer extends AsyncDisposable {
  readonly url: string
  /** To the postmaster and all its processes, as when the machine stops. */
  kill(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): Promise<void>
  restart(): Promise<void>
  /** A copy of its folder, as it lies there after SIGKILL. */
  keepCopy(): Promise<void>
  /** After SIGKILL: it is put back to the copy. */
  putBack(): Promise<void>
}

export async function startPostgresServer(): Promise<PostgresServer> {
  const home = await mkdtemp(join(tmpdir(), 'hooktrail-postgres-'))
  const [folder, kept] = [join(home, 'postgres'), join(home, 'kept')]
  const start = (): Promise<OwnPostgres> =>
    startOwnPostgres({ home, clock: systemClock, logger: silentLogger })
  let server = await start()
  return {
    url: server.url,
    kill: async (signal) => {
      await signalTree(server.pid, signal)
      // Nobody starts it again behind the test's back.
      if (signal === 'SIGKILL') await server[Symbol.asyncDispose]()
    },
    restart: async () => {
      server = await start()
    },
    keepCopy: async () => {
      await rm(kept, { recursive: true, force: true })
      await cp(folder, kept, { recursive: true })
    },
    putBack: async () => {
      await rm(folder, { recursive: true })
      await cp(kept, folder, { recursive: true })
    },
    [Symbol.asyncDispose]: async () => {
      await signalTree(server.pid, 'SIGCONT')
      await server[Symbol.asyncDispose]()
      await rm(home, { recursive: true, force: true })
    },
  }
}

/** The parent stands still while its children are listed, so that it starts no others. */
async function signalTree(parent: number, signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): Promise<void> {
  if (signal !== 'SIGCONT') send(parent, 'SIGSTOP')
  const { stdout } = await run('ps', ['-A', '-o', 'pid=,ppid='])
  const pairs = stdout.split('\n').map((line) => line.trim().split(/\s+/).map(Number))
  for (const [pid = 0, ppid = 0] of pairs) if (ppid === parent) send(pid, signal)
  send(parent, signal)
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}
