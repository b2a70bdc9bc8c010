/**
 * Both sides of a move, opened without serving anything: the old one with its own Postgres where it has one, the new one
 * beside it, and what is the same on both, which then stays where it is. Keys that differ end it before anything is read.
 */
import { randomUUID } from 'node:crypto'
import { resolve } from 'node:path'
import { databaseIdentity } from '../../adapters/postgres/move/store-contents.ts'
import { archivePrivateKeyPath } from '../../adapters/system/key-files.ts'
import { readSecretFile } from '../../adapters/system/secret-file.ts'
import { GENESIS_KEY } from '../../core/archive/keys.ts'
import type { Settings } from '../../core/config/config.ts'
import { archiveLocation } from '../../core/config/warn-config.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { Logger } from '../../core/log.ts'
import { archiveReader, folderOf } from '../composition/archive-stores.ts'
import { openContext, type Context } from '../composition/context.ts'
import { archiveSigner } from '../composition/archive-keys.ts'

/** Planning and archiving take one each, locks and copies the rest. */
const CONNECTIONS_MAX = 6
/** Unlike that of processes which serve: see store-contents.ts. */
const APPLICATION_NAME = 'hooktrail-move'

export interface MoveOptions {
  readonly from: Settings
  readonly to: Settings
  readonly home: string
  readonly logger: Logger
  /** For people, a line at a time. */
  readonly say: (line: string) => void
  readonly signal: AbortSignal
}

export interface Sides {
  readonly source: Context
  readonly target: Context
  readonly isOneDatabase: boolean
  readonly isOneLog: boolean
  readonly isOneArchive: boolean
  /** The new side, for people. */
  readonly place: string
  /** Of the new side, for people. */
  readonly database: string
}

/** @throws MOVE_UNSUPPORTED, MOVE_KEY_DIFFERS, and what opening throws */
export async function openSides(options: MoveOptions, opened: AsyncDisposableStack): Promise<Sides> {
  const { from, to, home, logger, signal } = options
  refuseUnsupported(from, to)
  const shared = { home, logger, signal, applicationName: APPLICATION_NAME, connectionsMax: CONNECTIONS_MAX }
  const source = opened.use(await openContext({ ...shared, config: from, processId: randomUUID() }))
  const { postgres } = source
  const target = opened.use(
    await openContext({ ...shared, config: to, processId: randomUUID(), postgres }).catch(nameKey),
  )
  await refuseMissingKey(source, signal)
  await refuseOtherKeys(source, target)
  const isOneDatabase = await areOneDatabase(source, target)
  return {
    ...{ source, target, isOneDatabase },
    isOneLog: isOneDatabase && source.log.driver === target.log.driver,
    isOneArchive: isSameArchive(source, target),
    place: placeOf(target),
    database: databaseText(target),
  }
}

function refuseUnsupported(from: Settings, to: Settings): void {
  const refuse = (reason: string): never => {
    throw new HooktrailError('MOVE_UNSUPPORTED', { reason })
  }
  if (from.log.kafka !== null)
    refuse('log.driver of the old side is kafka: only a log in Postgres can be left')
  if (from.log.topicPrefix !== to.log.topicPrefix) refuse('log.topic_prefix differs')
  const sources = new Set(to.sources.map(({ name }) => name))
  const gone = from.sources.filter(({ name }) => !sources.has(name)).map(({ name }) => name)
  if (gone.length > 0)
    refuse(`sources.${gone.join(', sources.')}: not in the new configuration; remove it after the move`)
}

/** The commonest thing to forget. */
function nameKey(error: unknown): never {
  if (error instanceof HooktrailError && error.code === 'DIGEST_KEY_MISSING')
    throw new HooktrailError(
      'MOVE_KEY_DIFFERS',
      { key: 'digest_key', reason: 'the new configuration has none' },
      error,
    )
  throw error
}

/** The archiver makes its key at first use: on a machine without it that would be another one. */
async function refuseMissingKey(source: Context, signal: AbortSignal): Promise<void> {
  if (source.config.archive.signingKey !== null) return
  const file = archivePrivateKeyPath(source.home)
  if ((await readSecretFile(file)) !== null) return
  await using opened = new AsyncDisposableStack()
  const archive = await archiveReader(source, opened, signal)()
  if (archive === null || (await archive.head(GENESIS_KEY)) === null) return
  const reason = `there is no ${file}: run it where the archiver runs`
  throw new HooktrailError('MOVE_KEY_DIFFERS', { key: 'archive.signing_key', reason })
}

async function refuseOtherKeys(source: Context, target: Context): Promise<void> {
  const differs = (key: string): HooktrailError => new HooktrailError('MOVE_KEY_DIFFERS', { key })
  if (source.digestKey !== target.digestKey) throw differs('digest_key')
  const [old, next] = [await archiveSigner(source), await archiveSigner(target)]
  if (old.vkey !== next.vkey) throw differs('archive.signing_key')
}

async function areOneDatabase(source: Context, target: Context): Promise<boolean> {
  return (await databaseIdentity(source.database)) === (await databaseIdentity(target.database))
}

type ArchiveSide = Parameters<typeof folderOf>[0]

export function isSameArchive(source: ArchiveSide, target: ArchiveSide): boolean {
  return archiveOf(source) === archiveOf(target)
}

function archiveOf({ config, home }: ArchiveSide): string {
  const { s3 } = config.archive
  return s3 === null
    ? resolve(folderOf({ config, home }))
    : JSON.stringify([s3.endpoint, s3.bucket, s3.prefix])
}

function placeOf({ config, home }: Pick<Context, 'config' | 'home'>): string {
  const log = config.log.kafka === null ? 'its log there' : `Kafka ${config.log.kafka.brokers.join(', ')}`
  return [
    databaseText({ config, home }),
    log,
    `archive ${archiveLocation(config.archive, folderOf({ config, home }))}`,
  ].join('; ')
}

/** Without user and password. */
function databaseText({ config, home }: Pick<Context, 'config' | 'home'>): string {
  if (config.database.url === null) return `its own Postgres in ${home}`
  const url = URL.parse(config.database.url)
  return url === null ? 'Postgres' : `Postgres ${url.host}${url.pathname}`
}
