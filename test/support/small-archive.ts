/**
 * A small true archive of two partitions and a few heartbeats, with the names of its objects by place, a checkpoint of its
 * end, and copies of it to be damaged.
 */
import assert from 'node:assert/strict'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { openDirectoryForReading } from '../../adapters/directory/directory-store.ts'
import type { Checkpoint } from '../../core/archive/verify/checkpoint.ts'
import { verifyArchive } from '../../core/archive/verify/verify-archive.ts'
import { ArchiveBuilder, type ArchiveBuilderOptions } from './archive-builder.ts'

export const ROUNDS = 4
export const RECORDS = 90

export interface SegmentKeys {
  readonly manifest: string
  readonly data: string
}

export interface SmallArchiveOptions extends ArchiveBuilderOptions {
  /** Records of partition 0 in each round. */
  readonly records?: (round: number) => number
}

export class SmallArchive implements AsyncDisposable {
  /** Holds the true archive, its copies, and what tests put there. */
  readonly base: string
  readonly builder: ArchiveBuilder
  readonly segments: readonly SegmentKeys[]
  readonly heartbeats: readonly string[]
  readonly checkpoint: Checkpoint
  #copies = 0

  private constructor(
    parts: Pick<SmallArchive, 'base' | 'builder' | 'segments' | 'heartbeats' | 'checkpoint'>,
  ) {
    this.base = parts.base
    this.builder = parts.builder
    this.segments = parts.segments
    this.heartbeats = parts.heartbeats
    this.checkpoint = parts.checkpoint
  }

  static async make({ records = () => 20, ...options }: SmallArchiveOptions = {}): Promise<SmallArchive> {
    const base = await mkdtemp(path.join(tmpdir(), 'small-archive-'))
    const builder = await ArchiveBuilder.create(path.join(base, 'true'), options)
    const segments: SegmentKeys[] = []
    const heartbeats: string[] = []
    for (let round = 0; round < ROUNDS; round++) {
      segments.push(await builder.addSegment(0, records(round)))
      if (hasSecond(round)) segments.push(await builder.addSegment(1, 5))
      heartbeats.push(await builder.addHeartbeat())
    }
    const checkpoint = await checkpointOf(builder, path.join(base, 'true'))
    return new SmallArchive({ base, builder, segments, heartbeats, checkpoint })
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

  async copy(): Promise<string> {
    this.#copies += 1
    const folder = path.join(this.base, `copy-${String(this.#copies)}`)
    await cp(this.folder, folder, { recursive: true, preserveTimestamps: true })
    return folder
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.base, { recursive: true, force: true })
  }
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
