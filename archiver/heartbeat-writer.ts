/**
 * Signs the state of all partitions, once a minute while something changes. No election: the create of heartbeats/<n>
 * is the only sequencing commit, and who loses reads the winner's and goes on from there. Clocks decide when one is
 * tried, never its key.
 */
import { comparePartitions, encodeDocument, manifestLeaf, parseHeartbeat } from '../core/archive/documents.ts'
import { canonicalJson } from '../core/archive/canonical-json.ts'
import { heartbeatKey } from '../core/archive/keys.ts'
import {
  FORMAT_VERSION,
  type Heartbeat,
  type HeartbeatPartition,
  type NamedObject,
  type RunningRoot,
} from '../core/archive/manifest.ts'
import type { OpenRoot } from '../core/archive/running-roots.ts'
import type { LogBounds, Topic, TopicPartition } from '../core/ports/event-log.ts'
import type { RememberedHeartbeat } from '../core/ports/maintenance-store.ts'
import { checkpointText } from '../core/archive/tree/tree-checkpoint.ts'
import { signNoteBy } from '../core/archive/signed-note.ts'
import { isHooktrailError } from '../core/error/hooktrail-error.ts'
import { isoTime, partitionKey, type ArchiverContext } from './archiver-context.ts'
import { FULL_EVERY, partitionRoot, type HeartbeatChain } from './heartbeat-chain.ts'
import { firstStart, followChain, type ChainHead } from './manifest-chain.ts'
import { createNote, type StoredManifest } from './notes.ts'
import { messageOf } from '../core/error/message-of.ts'

/** Bounds one heartbeat's text; what is left over stands in the next one. */
const MANIFESTS_MAX = 20_000

export type HeartbeatStep = 'signed' | 'lost' | 'not-due'

interface Observed {
  readonly row: HeartbeatPartition
  readonly manifests: readonly StoredManifest[]
  readonly isChanged: boolean
}

interface ObserveRequest {
  readonly at: TopicPartition
  readonly bounds: LogBounds | null
  readonly room: number
  readonly running: ReadonlyMap<string, readonly OpenRoot[]>
}

/** Anchors that were made since the newest heartbeat. */
export interface AnchorSource {
  readonly made: readonly NamedObject[]
  named(named: readonly NamedObject[]): void
}

/** What is known of open segments, by partitionKey. */
export interface RunningSource {
  known(): Promise<ReadonlyMap<string, readonly OpenRoot[]>>
}

export interface HeartbeatSources {
  readonly anchors?: AnchorSource
  readonly running?: RunningSource
  /** Its log may be another one by now, and what was signed of its bounds stays. */
  readonly isDoubted?: (at: TopicPartition) => boolean
}

export class HeartbeatWriter {
  readonly #context: ArchiverContext
  readonly #chain: HeartbeatChain
  readonly #anchors: AnchorSource | null
  readonly #running: RunningSource | null
  readonly #isDoubted: (at: TopicPartition) => boolean
  /** Monotonic time at which the newest heartbeat was written, as far as its own clock can be believed. */
  #newestAt: number | null = null
  #newestN: bigint | null = null

  constructor(context: ArchiverContext, chain: HeartbeatChain, sources: HeartbeatSources = {}) {
    this.#context = context
    this.#chain = chain
    this.#anchors = sources.anchors ?? null
    this.#running = sources.running ?? null
    this.#isDoubted = sources.isDoubted ?? (() => false)
  }

  /**
   * @param topics every topic of the log, or null while the log does not answer: then its bounds stay as signed
   * @param isLast at shutdown a change is signed at once
   */
  async step(topics: readonly Topic[] | null, isLast = false): Promise<HeartbeatStep> {
    await this.#chain.catchUp()
    const { heartbeatMs, idleHeartbeatMs } = this.#context.settings
    const age = this.#age()
    if (age < heartbeatMs && !isLast) return 'not-due'
    const n = this.#chain.nextN
    const observed = await this.#observe(topics)
    const worm = (await this.#context.protection?.worm()) ?? 'off'
    const { newest } = this.#chain
    const isChanged =
      observed.some((each) => each.isChanged) ||
      (newest !== null && !sameWorm(worm, newest.heartbeat.worm)) ||
      newest?.heartbeat.keys?.n !== this.#context.keys.newestNote?.n
    if (!isChanged && (age < idleHeartbeatMs || isLast) && this.#chain.newest !== null) return 'not-due'
    return this.#sign(n, observed, worm)
  }

  /** Since the newest heartbeat: by its own date when first seen, by monotonic time from then on. */
  #age(): number {
    const { newest } = this.#chain
    if (newest === null) return Infinity
    const now = this.#context.clock.monotonic()
    if (this.#newestN !== newest.n || this.#newestAt === null) {
      const ageWhenSeen = this.#context.clock.now() - Date.parse(newest.heartbeat.created_at)
      this.#newestN = newest.n
      this.#newestAt = now - Math.max(0, ageWhenSeen)
    }
    return now - this.#newestAt
  }

  /** Every partition that the log has or the table knows, with the manifests behind its signed head. */
  async #observe(topics: readonly Topic[] | null): Promise<readonly Observed[]> {
    const seen = new Map<string, Observed>()
    const running = (await this.#running?.known()) ?? new Map<string, readonly OpenRoot[]>()
    let room = MANIFESTS_MAX
    const live = new Set<string>()
    for (const at of (topics ?? []).flatMap(partitionsOf)) {
      live.add(partitionKey(at))
      const bounds = await this.#boundsOf(at)
      const observed = await this.#observePartition({ at, bounds, room, running })
      room -= observed.manifests.length
      seen.set(partitionKey(at), observed)
    }
    for (const row of this.#chain.partitions()) {
      const at = { topic: row.topic, topicId: row.topic_id, partition: row.partition }
      if (live.has(partitionKey(at))) continue
      const observed = await this.#observePartition({ at, bounds: null, room, running })
      room -= observed.manifests.length
      seen.set(partitionKey(at), observed)
    }
    return [...seen.values()]
  }

  /** Null where the log does not tell: it is down, or put back, or the topic was replaced a moment ago. */
  async #boundsOf(at: TopicPartition): Promise<LogBounds | null> {
    try {
      const bounds = await this.#context.log.bounds(at)
      return this.#isDoubted(at) ? null : bounds
    } catch (error) {
      if (!isHooktrailError(error)) throw error
      this.#context.logger.debug({ ...at, error: messageOf(error) }, 'the log does not tell its bounds')
      return null
    }
  }

  async #observePartition({ at, bounds, room, running }: ObserveRequest): Promise<Observed> {
    const signed = this.#chain.row(at)
    const start =
      signed === null ? ((await firstStart(this.#context, at)) ?? bounds?.logStart ?? 0n) : BigInt(signed.to)
    const head: ChainHead = { next: start, sha256: signed?.head ?? null, manifest: null }
    const manifests: StoredManifest[] = []
    if (room > 0) {
      for await (const stored of followChain(this.#context, at, head)) {
        manifests.push(stored)
        if (manifests.length >= room) break
      }
    }
    const open = running.get(partitionKey(at)) ?? []
    const row = rowOf({ at, signed, bounds, start, newest: manifests.at(-1) ?? null, open })
    return { row, manifests, isChanged: signed === null || !sameState(row, signed) }
  }

  async #sign(n: bigint, observed: readonly Observed[], worm: Heartbeat['worm']): Promise<HeartbeatStep> {
    // A key that another archiver brought into force meanwhile must sign this one.
    await this.#context.keys.catchUp()
    // Somebody else has read another's heartbeat into the chain: what was observed belongs behind the one before.
    if (this.#chain.nextN !== n) return 'lost'
    const document = await this.#documentOf(observed, worm)
    const { outcome, sha256 } = await createNote(this.#context, heartbeatKey(BigInt(document.n)), document)
    if (outcome === 'exists') {
      await this.#chain.catchUp()
      return 'lost'
    }
    // Through the same path that reading takes: what we signed is checked as if another had written it.
    this.#chain.apply({ n, sha256, heartbeat: parseHeartbeat(encodeDocument(document)) })
    this.#newestN = n
    this.#newestAt = this.#context.clock.monotonic()
    this.#anchors?.named(document.anchors)
    await this.#remember({ n, sha256 })
    return 'signed'
  }

  /** After the create: a crash between leaves the store with an older one, which the archive still holds. */
  async #remember(heartbeat: RememberedHeartbeat): Promise<void> {
    await this.#context.store?.rememberHeartbeat(heartbeat).catch((error: unknown) => {
      this.#context.logger.debug(
        { error: messageOf(error) },
        'the job store does not know this heartbeat yet',
      )
    })
  }

  async #documentOf(observed: readonly Observed[], worm: Heartbeat['worm']): Promise<Heartbeat> {
    const { clock, archiveId, instance, keys } = this.#context
    const n = this.#chain.nextN
    const isFull = n % FULL_EVERY === 0n
    const ordered = this.#inOrder(observed)
    const manifests = ordered.flatMap((each) => each.manifests)
    const tree = this.#chain.tree()
    for (const { sha256 } of manifests) tree.push(manifestLeaf(sha256))
    const [size, root] = [tree.size, tree.root().toString('hex')]
    return {
      kind: 'heartbeat',
      format_version: FORMAT_VERSION,
      archive_id: archiveId,
      n: String(n),
      created_at: this.#createdAt(),
      previous: this.#chain.previousSha256,
      partitions: ordered.filter(({ isChanged }) => isFull || isChanged).map(({ row }) => row),
      full: isFull,
      partition_root: partitionRoot(ordered.map(({ row }) => row)),
      manifests: manifests.map(({ key, sha256 }) => ({ key, sha256 })),
      tree_size: String(size),
      tree_root: root,
      tree_edge: tree.edge().map((node) => node.toString('hex')),
      checkpoint: (await signNoteBy(checkpointText({ archiveId, size, root }), [keys.signer()])).toString(),
      worm,
      ...(keys.newestNote === null ? {} : { keys: keys.newestNote }),
      clocks: { own: isoTime(clock.now()), log: null, store: null },
      anchors: this.#anchors?.made ?? [],
      writer: instance,
    }
  }

  #inOrder(observed: readonly Observed[]): readonly Observed[] {
    return [...observed].sort((a, b) => comparePartitions(a.row, b.row))
  }

  /** Never before the previous one, so that the chain's times are in order whatever the writers' clocks say. */
  #createdAt(): string {
    const own = isoTime(this.#context.clock.now())
    const before = this.#chain.newest?.heartbeat.created_at ?? own
    return own < before ? before : own
  }
}

export function partitionsOf({ name, id, partitions }: Topic): readonly TopicPartition[] {
  return Array.from({ length: partitions }, (_, partition) => ({ topic: name, topicId: id, partition }))
}

/** A log that ends before what was signed keeps its signed bounds here; its partition halts as a fork. */
function rowOf(view: {
  readonly at: TopicPartition
  readonly signed: HeartbeatPartition | null
  readonly bounds: LogBounds | null
  readonly start: bigint
  readonly newest: StoredManifest | null
  readonly open: readonly OpenRoot[]
}): HeartbeatPartition {
  const { at, signed, bounds, start, newest, open } = view
  const to = newest === null ? start : BigInt(newest.manifest.next)
  const running = runningAt(to, signed, open)
  const end = greatest(BigInt(signed?.high_watermark ?? 0), bounds?.highWatermark ?? to)
  return {
    topic: at.topic,
    topic_id: at.topicId,
    partition: at.partition,
    from: String(start),
    to: String(to),
    head: newest?.sha256 ?? signed?.head ?? null,
    running,
    log_start: String(greatest(BigInt(signed?.log_start ?? 0), bounds?.logStart ?? 0n)),
    high_watermark: String(greatest(end, BigInt(running?.next ?? to))),
  }
}

/** The one that reaches furthest of those that begin at the head; what was signed stays until the head moves on. */
function runningAt(
  to: bigint,
  signed: HeartbeatPartition | null,
  open: readonly OpenRoot[],
): RunningRoot | null {
  let furthest = signed !== null && BigInt(signed.to) === to ? signed.running : null
  for (const { start, next, root } of open)
    if (start === to && next > BigInt(furthest?.next ?? to)) furthest = { next: String(next), root }
  return furthest
}

function sameState(a: HeartbeatPartition, b: HeartbeatPartition): boolean {
  return canonicalJson({ ...a, from: null }) === canonicalJson({ ...b, from: null })
}

/** When the probe ran is no news; what it found is, and which policy and holds are in force. */
function sameWorm(a: Heartbeat['worm'], b: Heartbeat['worm']): boolean {
  const news = (worm: Heartbeat['worm']): string =>
    canonicalJson(worm === 'off' ? null : { result: worm.result, policy: worm.policy, holds: worm.holds })
  return news(a) === news(b)
}

function greatest(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
