/**
 * Has third parties see the newest checkpoint, about once an hour each. A target that does not answer delays its own
 * anchor and nothing else. Archivers of one archive look at what lies there first, so that an hour has one anchor; two
 * at once are harmless.
 */
import { hash } from 'node:crypto'
import {
  ANCHORS_PREFIX,
  anchoredHeartbeat,
  anchorKey,
  anchorPrefix,
} from '../core/archive/anchor/anchor-keys.ts'
import { signReceipt, type Receipt } from '../core/archive/anchor/receipt.ts'
import { contentTypeOf } from '../core/archive/content-type.ts'
import { FORMAT_VERSION, type NamedObject } from '../core/archive/manifest.ts'
import { isHooktrailError } from '../core/error/hooktrail-error.ts'
import { messageOf } from '../core/error/message-of.ts'
import type { AnchorTarget } from '../core/ports/anchor-target.ts'
import { isoTime, type ArchiverContext } from './archiver-context.ts'
import { createObject } from './create-object.ts'
import { readHeartbeat, type HeartbeatChain, type StoredHeartbeat } from './heartbeat-chain.ts'

/** Less than the hour that is promised, by what a heartbeat and a failure or two may take. */
const ANCHOR_EVERY_MS = 50 * 60_000
const RETRY_MS_MIN = 60_000
const RETRY_MS_MAX = 900_000
/** More heartbeats than there are in that time at the default cadence. */
const LOOK_BACK = 1_000n

interface TargetState {
  /** Time of the newest heartbeat that it has anchored; null while that is not known. */
  anchoredMs: number | null
  failures: number
  /** Monotonic. */
  retryAt: number
}

export class AnchorWriter {
  readonly #context: ArchiverContext
  readonly #chain: HeartbeatChain
  /** Not named by a heartbeat yet. After a crash they are judged by what they say alone. */
  #made: NamedObject[] = []
  readonly #states = new Map<AnchorTarget, TargetState>()

  constructor(context: ArchiverContext, chain: HeartbeatChain) {
    this.#context = context
    this.#chain = chain
    for (const target of context.anchors ?? [])
      this.#states.set(target, { anchoredMs: null, failures: 0, retryAt: -Infinity })
  }

  /** What the next heartbeat names. */
  get made(): readonly NamedObject[] {
    return this.#made
  }

  /** After a heartbeat was signed. */
  named(named: readonly NamedObject[]): void {
    this.#made = this.#made.filter((each) => !named.includes(each))
  }

  /** @returns how many anchors were made */
  async step(signal: AbortSignal): Promise<number> {
    const { newest } = this.#chain
    const checkpoint = newest?.heartbeat.checkpoint
    if (newest === null || checkpoint === undefined) return 0
    let made = 0
    for (const [target, state] of this.#states) {
      if (this.#context.clock.monotonic() < state.retryAt || !isDue(newest, state)) continue
      state.anchoredMs = await this.#lastAnchored(target, newest)
      if (isDue(newest, state) && (await this.#anchor({ target, state, newest, checkpoint }, signal)))
        made += 1
    }
    return made
  }

  async #anchor(due: DueAnchor, signal: AbortSignal): Promise<boolean> {
    const { target, state, newest, checkpoint } = due
    const { archiveId, clock, logger } = this.#context
    try {
      const bytes = Buffer.from(checkpoint)
      const answer = await target.submit({ archiveId, n: newest.n, checkpoint: bytes }, signal)
      await this.#keep(
        anchorKey(newest.n, target.kind, target.name),
        answer ?? (await this.#receiptOf(due, bytes)),
      )
      state.anchoredMs = Date.parse(newest.heartbeat.created_at)
      state.failures = 0
      return true
    } catch (error) {
      if (!isHooktrailError(error)) throw error
      state.failures += 1
      const waitMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(state.failures - 1, 8))
      state.retryAt = clock.monotonic() + waitMs
      logger.warn(
        { target: target.name, error: messageOf(error), details: error.details },
        'a checkpoint is not anchored yet',
      )
      return false
    }
  }

  #receiptOf({ target, newest }: DueAnchor, checkpoint: Buffer): Promise<Buffer> {
    const { archiveId, clock, keys } = this.#context
    const receipt: Receipt = {
      kind: 'receipt',
      format_version: FORMAT_VERSION,
      archive_id: archiveId,
      heartbeat: String(newest.n),
      checkpoint_sha256: hash('sha256', checkpoint, 'hex'),
      target: target.name,
      pushed_at: isoTime(clock.now()),
    }
    return signReceipt(receipt, keys.signer())
  }

  /** Somebody else's anchor of the same heartbeat is as good. */
  async #keep(key: string, body: Buffer): Promise<void> {
    const sha256 = hash('sha256', body, 'buffer')
    const object = { key, body, sha256, contentType: contentTypeOf(key) }
    if ((await createObject(this.#context, object)) === 'exists') return
    this.#made.push({ key, sha256: sha256.toString('hex') })
  }

  async #lastAnchored(target: AnchorTarget, newest: StoredHeartbeat): Promise<number | null> {
    const from = newest.n > LOOK_BACK ? newest.n - LOOK_BACK : 0n
    let last: bigint | null = null
    for await (const { key } of this.#context.archive.list(ANCHORS_PREFIX, anchorPrefix(from))) {
      const n = anchoredHeartbeat(key)
      if (n !== null && n <= newest.n && key === anchorKey(n, target.kind, target.name)) last = n
    }
    const stored = last === null ? null : await readHeartbeat(this.#context, last)
    return stored === null ? null : Date.parse(stored.heartbeat.created_at)
  }
}

interface DueAnchor {
  readonly target: AnchorTarget
  readonly state: TargetState
  readonly newest: StoredHeartbeat
  readonly checkpoint: string
}

/** By the heartbeats' own times, so that all archivers agree. */
function isDue({ heartbeat }: StoredHeartbeat, { anchoredMs }: TargetState): boolean {
  return anchoredMs === null || Date.parse(heartbeat.created_at) - anchoredMs >= ANCHOR_EVERY_MS
}
