/**
 * Running roots: what lies in open segments is signed long before the segments are, since each archiver posts the roots
 * of its own through the job store and any heartbeat takes up whatever was posted. Best effort: without a job store
 * its own are signed all the same, and a root that nobody signed is missing, never wrong.
 */
import { messageOf } from '../core/error/message-of.ts'
import { isHooktrailError } from '../core/error/hooktrail-error.ts'
import { openRoots, signRoots, type OpenRoot } from '../core/archive/running-roots.ts'
import { isoTime, partitionKey, type ArchiverContext } from './archiver-context.ts'

/** Of this process, as they are now. */
export interface OpenSegments {
  openRoots(): readonly OpenRoot[]
}

export class RunningRoots {
  readonly #context: ArchiverContext
  readonly #segments: OpenSegments
  /** That nothing is open any more has to be posted once. */
  #hasPosted = false

  constructor(context: ArchiverContext, segments: OpenSegments) {
    this.#context = context
    this.#segments = segments
  }

  /** @returns true when they are with the job store */
  async post(): Promise<boolean> {
    const { store, archiveId, clock, instance, keys } = this.#context
    const roots = this.#segments.openRoots()
    if (store === null || (roots.length === 0 && !this.#hasPosted)) return false
    const posted = { archiveId, postedAt: isoTime(clock.now()), writer: instance, roots }
    const isPosted = await this.#bestEffort(async () => {
      await store.postRunningRoots(instance, await signRoots(posted, keys.signer()))
      return true
    })
    if (isPosted === true) this.#hasPosted = roots.length > 0
    return isPosted ?? false
  }

  /** By partitionKey: its own, and what others posted and signed. */
  async known(): Promise<ReadonlyMap<string, readonly OpenRoot[]>> {
    const { store, keys, archiveId } = this.#context
    const notes = (await this.#bestEffort(async () => store?.runningRoots())) ?? []
    const others: OpenRoot[] = []
    for (const note of notes) {
      const posted = await this.#bestEffort(() => Promise.resolve(openRoots(note, keys.verifiers)))
      if (posted?.archiveId === archiveId) others.push(...posted.roots)
    }
    return Map.groupBy([...this.#segments.openRoots(), ...others], ({ at }) => partitionKey(at))
  }

  async #bestEffort<T>(act: () => Promise<T>): Promise<T | null> {
    try {
      return await act()
    } catch (error) {
      if (!isHooktrailError(error)) throw error
      this.#context.logger.debug({ error: messageOf(error) }, 'running roots of others are not known')
      return null
    }
  }
}
