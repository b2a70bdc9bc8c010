/**
 * A stage for reading log and archive as one: any log, any store, an archiver's writers with small segments, and the
 * union on top. How a store goes away, or is tampered with, is the store's own affair (`ArchivePlace`).
 */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../adapters/system/clock.ts'
import type { ArchiverContext } from '../../archiver/archiver-context.ts'
import { openGenesis } from '../../archiver/genesis.ts'
import { HeartbeatChain } from '../../archiver/heartbeat-chain.ts'
import { HeartbeatWriter } from '../../archiver/heartbeat-writer.ts'
import { closeChain } from '../../archiver/close-chain.ts'
import { PartitionWriter } from '../../archiver/partition-writer.ts'
import { ArchiveRange } from '../../core/archive/range/archive-range.ts'
import type { ArchiveSource } from '../../core/archive/range/find-segment.ts'
import { UnionLog } from '../../core/archive/range/union-log.ts'
import { makeSigner, parseVerifierKey } from '../../core/archive/signed-note.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { ArchiveStore } from '../../core/ports/archive-store.ts'
import type { EventLog, ReadResult, TopicPartition } from '../../core/ports/event-log.ts'
import { archiveAll, SETTINGS } from './archiver-stage.ts'
import { silentLogger } from './postgres.ts'

/** Records of a segment; the archiver of the stage cuts there. */
export const SEGMENT_RECORDS = 10
export const WAIT_MS = 30_000

export interface ArchivePlace extends AsyncDisposable {
  readonly store: ArchiveStore
  /** As a process that only reads opens it. */
  open(): Promise<ArchiveStore>
  takeAway(): Promise<void>
  putBack(): Promise<void>
  /** Other bytes under the key; null: none. @returns puts the object back */
  tamper(key: string, change: ((bytes: Buffer) => Buffer) | null): Promise<() => Promise<void>>
}

export interface UnionStage extends AsyncDisposable {
  readonly union: UnionLog
  /** How often the archive was opened, and the keys that were read. */
  readonly asked: { opens: number; reads: string[] }
  /** Another reader of the same stores, with nothing in memory. */
  reader(bytesMax?: number): UnionLog
  archive(at: TopicPartition): Promise<void>
  sign(): Promise<void>
  /** Signs the end of a topic that was deleted. */
  close(at: TopicPartition): Promise<void>
  /** Everything from `from` on, read after read, to the end of the log, or of the chain of a topic that is gone. */
  readAll(at: TopicPartition, from: bigint, isGone?: boolean): Promise<readonly ReadResult[]>
}

const { privateKey } = generateKeyPairSync('ed25519')

export async function openUnionStage(log: EventLog, place: ArchivePlace): Promise<UnionStage> {
  const folder = await mkdtemp(join(tmpdir(), 'hooktrail-union-'))
  const signer = makeSigner(privateKey, 'hooktrail-archive')
  const keys = [parseVerifierKey(signer.vkey)]
  const opening = {
    ...{ log, archive: place.store, store: null, signer, verifiers: keys, clock: systemClock },
    ...{ logger: silentLogger, spoolDirectory: folder, instance: 'test', formatsText: '# formats\n' },
    metrics: { count: () => undefined, set: () => undefined, observe: () => undefined },
    settings: { ...SETTINGS, roll: { ...SETTINGS.roll, recordsMax: SEGMENT_RECORDS } },
  }
  const { genesis, sha256, keys: archiveKeys } = await openGenesis(opening)
  const context: ArchiverContext = {
    ...opening,
    archiveId: genesis.archive_id,
    keys: archiveKeys,
    genesisFormat: genesis.format,
  }
  const chain = new HeartbeatChain(context, sha256)
  const asked: UnionStage['asked'] = { opens: 0, reads: [] }
  const openSource = async (): Promise<ArchiveSource> => {
    asked.opens += 1
    return { store: counting(await place.open(), asked.reads), keys }
  }
  const ranges: ArchiveRange[] = []
  const reader = (bytesMax?: number): UnionLog => {
    const bound = bytesMax === undefined ? {} : { bytesMax }
    const range = new ArchiveRange({ openSource, clock: systemClock, ...bound })
    ranges.push(range)
    return new UnionLog(log, range)
  }
  const union = reader()
  return {
    ...{ union, asked, reader },
    archive: async (at) => {
      const writer = new PartitionWriter(context, at, (of) => chain.row(of))
      assert.equal(await archiveAll(writer), 'idle')
      await writer.dispose()
    },
    sign: async () => {
      await new HeartbeatWriter(context, chain).step(await log.topics(), true)
    },
    close: async (at) => {
      const row = chain.row(at)
      assert(row !== null, 'a heartbeat knows the partition')
      await closeChain(context, row)
    },
    readAll: async (at, from, isGone = false) => {
      const results: ReadResult[] = []
      for (let next = from; ;) {
        const result = await union.read({ ...at, from: next, ...EVERYTHING }).catch((error: unknown) => {
          if (isHooktrailError(error, 'LOG_TOPIC_REPLACED')) return null
          throw error
        })
        if (result === null) return results
        results.push(result)
        next = result.next
        if (!isGone && next === result.highWatermark) return results
      }
    },
    [Symbol.asyncDispose]: async () => {
      for (const range of ranges) range[Symbol.dispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

export const EVERYTHING = { recordsMax: 1_000, bytesMax: 1 << 24, waitMsMax: WAIT_MS } as const

function counting(inner: ArchiveStore, reads: string[]): ArchiveSource['store'] {
  return {
    location: inner.location,
    read: (key, bytesMax) => {
      reads.push(key)
      return inner.read(key, bytesMax)
    },
    open: (key) => inner.open(key),
    list: (prefix, after) => inner.list(prefix, after),
  }
}
