/**
 * Builds a small, true archive in a folder through the product's own encoders and the directory store: partitions,
 * segments, heartbeats. Tests then change it by hand and ask the verifier what it sees.
 */
import { hash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { openDirectoryStore } from '../../adapters/directory/directory-store.ts'
import {
  comparePartitions,
  encodeDocument,
  manifestLeaf,
  partitionLeaf,
} from '../../core/archive/documents.ts'
import { dataKey, GENESIS_KEY, heartbeatKey, manifestKey, numberedKey } from '../../core/archive/keys.ts'
import { leafHash } from '../../core/archive/leaf.ts'
import type {
  Genesis,
  Heartbeat,
  HeartbeatPartition,
  Manifest,
  ManifestGap,
  NamedObject,
  RunningRoot,
  SegmentFormat,
} from '../../core/archive/manifest.ts'
import { merkleRoot, MerkleStack } from '../../core/archive/merkle.ts'
import { README_TEXT } from '../../core/archive/readme-text.ts'
import { parseVerifierKey, signNote, signNoteBy, type NoteSigner } from '../../core/archive/signed-note.ts'
import type { NumberedNote } from '../../core/archive/worm.ts'
import { tileKey, TileStack, type Tile } from '../../core/archive/tree/tile.ts'
import { checkpointText } from '../../core/archive/tree/tree-checkpoint.ts'
import type { Clock } from '../../core/clock.ts'
import type { Logger } from '../../core/log.ts'
import type { ArchiveStore } from '../../core/ports/archive-store.ts'
import type { TopicPartition } from '../../core/ports/event-log.ts'
import { delegationBy, newSigner, type Rotation } from './archive-keys.ts'
import { ARCHIVE_START_MS, encodeRecords, recordAt } from './archive-records.ts'

const HEARTBEAT_EVERY_MS = 60_000
export const TOPIC_ID = '0a1b2c3d4e5f60718293a4b5c6d7e8f9'

export const fixedClock: Clock = {
  now: () => ARCHIVE_START_MS,
  monotonic: () => 0,
  sleep: () => Promise.resolve(),
}

export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

export interface ArchiveBuilderOptions {
  /** Of another builder, for a second history under its key. */
  readonly signer?: NoteSigner
  /** Another key that delegates to the signer. */
  readonly root?: NoteSigner | null
  readonly format?: SegmentFormat
  /** Tiles and checkpoints; false: as earlier versions wrote archives. */
  readonly hasTree?: boolean
  /** What its manifests say of the lock of their data. */
  readonly retention?: Manifest['retention']
  /** Explaining files besides the README: key → text. */
  readonly files?: Readonly<Record<string, string>>
}

/** What lies behind a partition's head when a heartbeat is signed. */
export interface OpenRecords {
  readonly partition: number
  readonly records: number
  /** Other ones than the next segment will hold. */
  readonly isOther?: boolean
}

interface ChainState {
  readonly at: TopicPartition
  next: bigint
  head: string | null
}

export class ArchiveBuilder {
  readonly store: ArchiveStore
  /** The key in force. */
  signer: NoteSigner
  nowMs = ARCHIVE_START_MS
  readonly #root: NoteSigner | null
  /** What its next heartbeats say of the deletion lock. */
  worm: Heartbeat['worm'] = 'off'
  /** What its next heartbeat names. */
  anchors: readonly NamedObject[] = []
  genesisSha256 = ''
  /** Of the newest heartbeat. */
  checkpoint = ''
  readonly format: SegmentFormat
  readonly #retention: Manifest['retention']
  readonly #chains: ChainState[]
  readonly #hasTree: boolean
  readonly #files: Readonly<Record<string, string>>
  #create: ArchiveStore['create']
  readonly #tree = new MerkleStack()
  readonly #tiles = new TileStack()
  readonly #rows = new Map<ChainState, HeartbeatPartition>()
  #unlisted: { key: string; sha256: string }[] = []
  #previous = ''
  #keyNote: NumberedNote | null = null
  #n = 0n

  private constructor(store: ArchiveStore, options: Required<ArchiveBuilderOptions>) {
    this.store = store
    this.#create = (object) => store.create(object)
    this.signer = options.signer
    this.#root = options.root
    this.format = options.format
    this.#hasTree = options.hasTree
    this.#retention = options.retention
    this.#files = { 'README.txt': README_TEXT, ...options.files }
    this.#chains = [0, 1].map((partition) => ({
      at: { topic: 'hooktrail.events.demo', topicId: TOPIC_ID, partition },
      next: 0n,
      head: null,
    }))
  }

  static async create(folder: string, options: ArchiveBuilderOptions = {}): Promise<ArchiveBuilder> {
    const {
      signer = newSigner(),
      root = null,
      format = 'jsonl.zst',
      hasTree = true,
      retention = null,
      files = {},
    } = options
    const store = await openDirectoryStore(folder, { clock: fixedClock, logger: silentLogger })
    const builder = new ArchiveBuilder(store, { signer, root, format, hasTree, retention, files })
    await builder.#writeGenesis()
    return builder
  }

  get keys() {
    return [parseVerifierKey(this.signer.vkey)]
  }

  /** Another key takes over: its note is there, the next heartbeat names it. @returns the note's key */
  async rotate(next: NoteSigner, { signers = [this.signer, next], ...said }: Rotation = {}): Promise<string> {
    const n = this.#keyNote === null ? 0n : BigInt(this.#keyNote.n) + 1n
    const key = numberedKey('keys', n)
    const delegation =
      this.#root && delegationBy(this.#root, { key: next.vkey, replaces: this.signer.vkey, ...said })
    const text = encodeDocument({
      kind: 'key',
      format_version: 1,
      archive_id: 'test-archive',
      n: String(n),
      created_at: this.#iso(),
      previous: this.#keyNote?.sha256 ?? this.genesisSha256,
      key: next.vkey,
      delegation,
      writer: 'test',
    })
    const note = await signNoteBy(text, signers)
    await this.put(key, note)
    this.#keyNote = { n: String(n), sha256: hash('sha256', note, 'hex') }
    this.signer = next
    return key
  }

  /** One segment of `records` records on a partition. @returns keys of the manifest and the data object */
  async addSegment(partition: number, records: number, gaps: readonly ManifestGap[] = []) {
    const chain = this.#chains.find(({ at }) => at.partition === partition)
    if (chain === undefined) throw new RangeError('the builder has two partitions')
    const gapOffsets = gaps.reduce((sum, gap) => sum + BigInt(gap.to) - BigInt(gap.from) + 1n, 0n)
    const rows = Array.from({ length: records }, (_, index) => recordAt(chain.next + BigInt(index)))
    const data = await encodeRecords(rows, chain.at, this.format)
    const { topic, topicId } = chain.at
    const key = dataKey({
      topic,
      topicId,
      partition,
      start: chain.next,
      timestampMs: 0n,
      format: this.format,
    })
    await this.put(key, data)
    const leaves = rows.map((row) => leafHash(row, chain.at))
    const last = chain.next + BigInt(records) + gapOffsets - 1n
    const parts = manifestOf(chain, {
      key,
      data,
      format: this.format,
      leaves,
      last,
      gaps,
      createdAt: this.#iso(),
    })
    const manifest = { ...parts, retention: this.#retention }
    const manifestName = manifestKey(topic, topicId, partition, chain.next)
    chain.head = await this.sign(manifestName, encodeDocument(manifest))
    chain.next = last + 1n
    this.#unlisted.push({ key: manifestName, sha256: chain.head })
    return { manifest: manifestName, data: key }
  }

  /** @returns the heartbeat's key */
  async addHeartbeat(open: readonly OpenRecords[] = []): Promise<string> {
    this.nowMs += HEARTBEAT_EVERY_MS
    const full = this.#n % 3n === 0n
    const before = this.#chains.map((chain) => this.#rows.get(chain))
    const ordered = this.#chains.map((chain) => this.#rowOf(chain, open))
    const isNews = (row: HeartbeatPartition, at: number): boolean =>
      row.from !== row.to || !isDeepStrictEqual(row.running, before[at]?.running ?? null)
    const tiles = this.#unlisted.flatMap(({ sha256 }) => this.#append(manifestLeaf(sha256)))
    const heartbeat: Heartbeat = {
      kind: 'heartbeat',
      format_version: 1,
      archive_id: 'test-archive',
      n: String(this.#n),
      created_at: this.#iso(),
      previous: this.#previous,
      partitions: ordered.filter((row, at) => full || isNews(row, at)).toSorted(comparePartitions),
      full,
      partition_root: merkleRoot(ordered.toSorted(comparePartitions).map(partitionLeaf)).toString('hex'),
      manifests: this.#unlisted,
      tree_size: String(this.#tree.size),
      tree_root: this.#tree.root().toString('hex'),
      tree_edge: this.#tree.edge().map((node) => node.toString('hex')),
      ...this.#checkpoint(),
      worm: this.worm,
      ...(this.#keyNote === null ? {} : { keys: this.#keyNote }),
      clocks: { own: this.#iso(), log: null, store: null },
      anchors: this.anchors,
      writer: 'test',
    }
    const key = heartbeatKey(this.#n)
    this.#previous = await this.sign(key, encodeDocument(heartbeat))
    this.checkpoint = heartbeat.checkpoint ?? ''
    this.anchors = []
    this.#unlisted = []
    this.#n += 1n
    if (this.#hasTree) for (const tile of tiles) await this.put(tileKey(tile), tile.bytes)
    return key
  }

  #append(leaf: Buffer): readonly Tile[] {
    this.#tree.push(leaf)
    return this.#tiles.push(leaf)
  }

  #checkpoint(): Pick<Heartbeat, 'checkpoint'> {
    if (!this.#hasTree) return {}
    const [archiveId, size, root] = ['test-archive', this.#tree.size, this.#tree.root().toString('hex')]
    return { checkpoint: signNote(checkpointText({ archiveId, size, root }), this.signer).toString() }
  }

  async put(key: string, body: Buffer): Promise<void> {
    const sha256 = hash('sha256', body, 'buffer')
    await this.#create({ key, body, sha256, contentType: 'application/octet-stream' })
  }

  /** Another way into the same folder. */
  putWith(create: ArchiveStore['create']): void {
    this.#create = create
  }

  #rowOf(chain: ChainState, open: readonly OpenRecords[]): HeartbeatPartition {
    const { topic, topicId, partition } = chain.at
    const from = this.#rows.get(chain)?.to ?? '0'
    const to = String(chain.next)
    const running = runningOf(
      chain,
      open.find((each) => each.partition === partition),
    )
    const bounds = { running, log_start: '0', high_watermark: running?.next ?? to }
    const row = { topic, topic_id: topicId, partition, from, to, head: chain.head, ...bounds }
    this.#rows.set(chain, row)
    return row
  }

  async #writeGenesis(): Promise<void> {
    const files: Record<string, string> = {}
    for (const [key, text] of Object.entries(this.#files)) {
      await this.put(key, Buffer.from(text))
      files[key] = hash('sha256', text, 'hex')
    }
    this.genesisSha256 = await this.sign(
      GENESIS_KEY,
      encodeDocument({
        kind: 'genesis',
        format_version: 1,
        archive_id: 'test-archive',
        created_at: this.#iso(),
        cadence: { active_seconds: 60, idle_seconds: 900 },
        ...this.#origin(),
        files,
        format: this.format,
      }),
    )
    this.#previous = this.genesisSha256
  }

  #origin(): Pick<Genesis, 'root_key' | 'delegation'> {
    if (this.#root === null) return { root_key: this.signer.vkey }
    const delegation = delegationBy(this.#root, { key: this.signer.vkey, replaces: null })
    return { root_key: this.#root.vkey, delegation }
  }

  /** @returns SHA-256 of the note */
  async sign(key: string, text: string): Promise<string> {
    const note = signNote(text, this.signer)
    await this.put(key, note)
    return hash('sha256', note, 'hex')
  }

  #iso(): string {
    return new Date(this.nowMs).toISOString()
  }
}

/** The root over records that a later segment will hold, or over other ones. */
function runningOf({ at, next }: ChainState, open: OpenRecords | undefined): RunningRoot | null {
  if (open === undefined) return null
  const records = Array.from({ length: open.records }, (_, index) => recordAt(next + BigInt(index)))
  const value = open.isOther === true ? { value: Buffer.from('other') } : {}
  const leaves = records.map((record) => leafHash({ ...record, ...value }, at))
  return { next: String(next + BigInt(open.records)), root: merkleRoot(leaves).toString('hex') }
}

interface SegmentParts {
  readonly key: string
  readonly data: Buffer
  readonly format: SegmentFormat
  readonly leaves: readonly Buffer[]
  readonly last: bigint
  readonly gaps: readonly ManifestGap[]
  readonly createdAt: string
}

function manifestOf({ at, next, head }: ChainState, parts: SegmentParts): Manifest {
  const { key, data, format, leaves, last, gaps, createdAt } = parts
  const sha256 = hash('sha256', data, 'hex')
  return {
    kind: 'segment',
    format_version: 1,
    archive_id: 'test-archive',
    topic: at.topic,
    topic_id: at.topicId,
    partition: at.partition,
    first: String(next),
    last: String(last),
    next: String(last + 1n),
    genesis: false,
    records: leaves.length,
    raw_bytes: '0',
    gaps,
    min_timestamp_ms: String(BigInt(ARCHIVE_START_MS) + next),
    max_timestamp_ms: String(BigInt(ARCHIVE_START_MS) + next + BigInt(leaves.length) - 1n),
    data: { key, version_id: null, size: data.length, sha256, format, schema: 'row/1' },
    merkle_root: merkleRoot(leaves).toString('hex'),
    leaves: leaves.length,
    previous: head,
    leader_epochs: [],
    log_start: '0',
    high_watermark: String(last + 1n),
    retention: null,
    encryption: null,
    writer: 'test',
    created_at: createdAt,
    adopted: false,
  }
}
