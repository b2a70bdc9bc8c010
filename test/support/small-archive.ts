/**
 * A small true archive of two partitions and a few heartbeats, with the names of its objects by place, a checkpoint of its
 * end, and copies of it to be damaged.
 */
import assert from 'node:assert/strict'
import { link, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { openDirectoryForReading } from '../../adapters/directory/directory-store.ts'
import type { SegmentFormat } from '../../core/archive/manifest.ts'
import type { Checkpoint } from '../../core/archive/verify/checkpoint.ts'
import { verifyArchive } from '../../core/archive/verify/verify-archive.ts'
import { ArchiveBuilder, type ArchiveBuilderOptions } from './archive-builder.ts'
import { KEPT, PUSHED_ROUND, pushCheckpoint, signKept } from './kept-notes.ts'

export const ROUNDS = 4
export const RECORDS = 90
/** Records of partition 0 behind each heartbeat, whose root it signs. */
const OPEN = 7

export interface SegmentKeys {
  readonly manifest: string
  readonly data: string
}

export interface SmallArchiveOptions extends ArchiveBuilderOptions {
  /** Records of partition 0 in each round. */
  readonly records?: (round: number) => number
  /** With a policy, a legal hold, a pushed checkpoint and all explaining files, as an archiver on a locked bucket leaves them. */
  readonly isKept?: boolean
}

export class SmallArchive implements AsyncDisposable {
  /** Holds the true archive, its copies, and what tests put there. */
  readonly base: string
  readonly builder: ArchiveBuilder
  readonly segments: readonly SegmentKeys[]
  readonly heartbeats: readonly string[]
  readonly checkpoint: Checkpoint
  #copies = 0
  #files: readonly string[] | null = null

  private constructor(
    parts: Pick<SmallArchive, 'base' | 'builder' | 'segments' | 'heartbeats' | 'checkpoint'>,
  ) {
    this.base = parts.base
    this.builder = parts.builder
    this.segments = parts.segments
    this.heartbeats = parts.heartbeats
    this.checkpoint = parts.checkpoint
  }

  static async make(options: SmallArchiveOptions = {}): Promise<SmallArchive> {
    const { records = () => 20, isKept = false, ...building } = options
    const base = await mkdtemp(path.join(tmpdir(), 'small-archive-'))
    const builder = await ArchiveBuilder.create(path.join(base, 'true'), {
      ...(isKept ? KEPT : {}),
      ...building,
    })
    if (isKept) await signKept(builder)
    const segments: SegmentKeys[] = []
    const heartbeats: string[] = []
    for (let round = 0; round < ROUNDS; round++) {
      segments.push(await builder.addSegment(0, records(round)))
      if (hasSecond(round)) segments.push(await builder.addSegment(1, 5))
      heartbeats.push(await builder.addHeartbeat([{ partition: 0, records: OPEN }]))
      if (isKept && round === PUSHED_ROUND) await pushCheckpoint(builder, BigInt(round))
    }
    const checkpoint = await checkpointOf(builder, path.join(base, 'true'))
    return new SmallArchive({ base, builder, segments, heartbeats, checkpoint })
  }

  get format(): SegmentFormat {
    return this.builder.format
  }

  get folder(): string {
    return path.join(this.base, 'true')
  }

  segment(index: number): SegmentKeys {
    const found = this.segments.at(index)
    assert(found !== undefined)
    return found
  }

  heartbeat(index: number): string {
    const found = this.heartbeats.at(index)
    assert(found !== undefined)
    return found
  }

  /** Keys of everything that came with the last `rounds` heartbeats. */
  tail(rounds: number): { data: string[]; manifests: string[]; heartbeats: string[] } {
    const before = Array.from({ length: ROUNDS - rounds }, (_, round) => (hasSecond(round) ? 2 : 1))
    const late = this.segments.slice(before.reduce((sum, count) => sum + count, 0))
    return {
      data: late.map(({ data }) => data),
      manifests: late.map(({ manifest }) => manifest),
      heartbeats: this.heartbeats.slice(-rounds),
    }
  }

  /** Its files are links, which cost next to nothing: who changes one writes it anew (tampering.ts). */
  async copy(): Promise<string> {
    this.#copies += 1
    const folder = path.join(this.base, `copy-${String(this.#copies)}`)
    this.#files ??= await filesBelow(this.folder)
    for (const parent of new Set(this.#files.map((file) => path.dirname(file))))
      await mkdir(path.join(folder, parent), { recursive: true })
    await Promise.all(this.#files.map((file) => link(path.join(this.folder, file), path.join(folder, file))))
    return folder
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.base, { recursive: true, force: true })
  }
}

/** Paths below a folder, sorted. */
export async function filesBelow(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .toSorted()
}

function hasSecond(round: number): boolean {
  return round % 2 === 0
}

async function checkpointOf({ keys, nowMs }: ArchiveBuilder, folder: string): Promise<Checkpoint> {
  const store = await openDirectoryForReading(folder)
  const { signal } = new AbortController()
  const { checkpoint } = await verifyArchive({ store, keys, nowMs, level: 0, signal })
  assert(checkpoint !== null)
  return checkpoint
}
