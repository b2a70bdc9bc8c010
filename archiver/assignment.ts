/**
 * Which topics this process archives. Leases spread them over processes and are for liveness only: overlap costs a
 * refused create, never a wrong archive. Without the job store a process keeps what it has; a fresh one takes all after
 * half a minute, spread by its name, because archiving needs the log and the archive and nothing else.
 */
import { hash } from 'node:crypto'
import { isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { ArchiverContext } from './archiver-context.ts'
import { messageOf } from '../core/error/message-of.ts'

const LEASE_TTL_MS = 15_000
const RENEW_MS = 5_000
const TAKE_ALL_MS = 30_000
const JITTER_MS = 5_000

export class Assignment {
  readonly #context: ArchiverContext
  readonly #takeAllAfterMs: number
  readonly #held = new Set<string>()
  readonly #startedAt: number
  #renewedAt = -Infinity
  #storeAnswered = false

  constructor(context: ArchiverContext) {
    this.#context = context
    this.#startedAt = context.clock.monotonic()
    const spread = hash('sha256', context.instance, 'buffer').readUInt16BE() / 0x10000
    this.#takeAllAfterMs = TAKE_ALL_MS + spread * JITTER_MS
  }

  /** Takes and renews leases when it is time. @returns names of the topics to archive */
  async step(topics: readonly string[]): Promise<ReadonlySet<string>> {
    const now = this.#context.clock.monotonic()
    const isNew = topics.some((topic) => !this.#held.has(topic))
    if (now - this.#renewedAt < (isNew ? RENEW_MS / 5 : RENEW_MS)) return this.#held
    this.#renewedAt = now
    const { store } = this.#context
    if (store === null || !(await this.#renew(topics))) this.#takeAll(topics, now)
    return this.#held
  }

  async release(): Promise<void> {
    const { store, instance, logger } = this.#context
    if (store === null || !this.#storeAnswered) return
    for (const topic of this.#held) {
      try {
        await store.releaseLease(leaseName(topic), instance)
      } catch (error) {
        logger.debug({ topic, error: messageOf(error) }, 'a lease was not released; it runs out by itself')
      }
    }
  }

  async #renew(topics: readonly string[]): Promise<boolean> {
    const { store, instance, logger } = this.#context
    if (store === null) return false
    try {
      for (const topic of topics) {
        if (await store.acquireLease(leaseName(topic), instance, LEASE_TTL_MS)) this.#held.add(topic)
        else this.#held.delete(topic)
      }
      this.#storeAnswered = true
      return true
    } catch (error) {
      if (!isHooktrailError(error)) throw error
      logger.debug({ error: messageOf(error) }, 'leases are not renewed; what is held stays')
      return false
    }
  }

  /** A process that holds something has colleagues that hold the rest; only a fresh one fills in for everybody. */
  #takeAll(topics: readonly string[], now: number): void {
    if (this.#storeAnswered || now - this.#startedAt < this.#takeAllAfterMs) return
    for (const topic of topics) this.#held.add(topic)
  }
}

function leaseName(topic: string): string {
  return `archiver/${topic}`
}
