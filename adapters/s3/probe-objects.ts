/**
 * The objects of one probe of the deletion lock: plain requests, each answered by what the store did or why it refused.
 * Only a refusal of the request itself is an answer; a store that is away, or credentials that nobody knows, end the probe.
 */
import { hash } from 'node:crypto'
import {
  DeleteObjectCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
  PutObjectLegalHoldCommand,
  PutObjectRetentionCommand,
} from '@aws-sdk/client-s3'
import { PROBE_PREFIX } from '../../core/archive/keys.ts'
import type { ObjectLock, ObjectProtection } from '../../core/ports/archive-store.ts'
import { lockOf, modeName } from './object-locks.ts'
import { request, type S3Context } from './request.ts'
import { isDenied, isMissing, isRefusal, reasonOf } from './store-error.ts'

export interface Created {
  readonly kind: 'done'
  readonly key: string
  readonly versionId: string | null
}

export interface Refused {
  readonly kind: 'refused'
  readonly isDenied: boolean
  readonly told: string
}

export type Attempt = Created | Refused

export interface ProbeObject {
  readonly lock?: ObjectLock
  readonly isHeld?: boolean
  /** With the SHA-256 of other bytes. */
  readonly isWrong?: boolean
}

/** Older ones are no longer locked. */
const SWEEP_AGE_MS = 3 * 3_600_000
const SWEEP_MAX = 200
const BODY = Buffer.from('hooktrail probe\n')

export class ProbeObjects {
  readonly #context: S3Context
  readonly #prefix: string
  readonly #unlocked: Created[] = []

  /** @param prefix of this probe, with its slash */
  constructor(context: S3Context, prefix: string) {
    this.#context = context
    this.#prefix = prefix
  }

  get nowMs(): number {
    return this.#context.options.clock.now()
  }

  async create(name: string, { lock, isHeld = false, isWrong = false }: ProbeObject): Promise<Attempt> {
    const key = this.#prefix + name
    const command = new PutObjectCommand({
      ...this.#at(key),
      Body: BODY,
      IfNoneMatch: '*',
      ChecksumAlgorithm: 'SHA256',
      ChecksumSHA256: hash('sha256', isWrong ? 'other bytes' : BODY, 'base64'),
      ...(lock === undefined
        ? {}
        : { ObjectLockMode: modeName(lock.mode), ObjectLockRetainUntilDate: new Date(lock.untilMs) }),
      ...(isHeld ? { ObjectLockLegalHoldStatus: 'ON' as const } : {}),
    })
    const answer = await this.#attempt(key, (abortSignal) =>
      this.#context.client.send(command, { abortSignal }),
    )
    if (answer.kind === 'refused') return answer
    const created: Created = { kind: 'done', key, versionId: answer.value.VersionId ?? null }
    if (lock === undefined) this.#unlocked.push(created)
    return created
  }

  /** Its one version, not by a marker. */
  remove({ key, versionId }: Created): Promise<{ readonly kind: 'done' } | Refused> {
    const command = new DeleteObjectCommand({ ...this.#at(key), ...versionOf(versionId) })
    return this.#attempt(key, (abortSignal) => this.#context.client.send(command, { abortSignal }))
  }

  /** @param lock null: the lock is to be lifted */
  retain({ key, versionId }: Created, lock: ObjectLock | null): Promise<{ readonly kind: 'done' } | Refused> {
    const retention =
      lock === null ? {} : { Mode: modeName(lock.mode), RetainUntilDate: new Date(lock.untilMs) }
    const command = new PutObjectRetentionCommand({
      ...this.#at(key),
      ...versionOf(versionId),
      Retention: retention,
    })
    return this.#attempt(key, (abortSignal) => this.#context.client.send(command, { abortSignal }))
  }

  async release({ key, versionId }: Created): Promise<void> {
    const command = new PutObjectLegalHoldCommand({
      ...this.#at(key),
      ...versionOf(versionId),
      LegalHold: { Status: 'OFF' },
    })
    await this.#attempt(key, (abortSignal) => this.#context.client.send(command, { abortSignal }))
  }

  /** Null when the version is gone. */
  async protectionOf({ key, versionId }: Created): Promise<ObjectProtection | null> {
    const command = new HeadObjectCommand({ ...this.#at(key), ...versionOf(versionId) })
    const head = await request(this.#context, { key }, (abortSignal) =>
      this.#context.client.send(command, { abortSignal }).catch((error: unknown) => {
        // Of what may not be seen nothing is known; of what is gone AWS says 405 or 404.
        if (isDenied(error)) return 'denied' as const
        if (isMissing(error)) return null
        throw error
      }),
    )
    if (head === null) return null
    if (head === 'denied') return { lock: 'unknown', isHeld: 'unknown' }
    const lock = lockOf(head.ObjectLockMode, head.ObjectLockRetainUntilDate)
    return { lock, isHeld: head.ObjectLockLegalHoldStatus === 'ON' }
  }

  async removeUnlocked(): Promise<void> {
    for (const created of this.#unlocked) await this.remove(created)
  }

  /** What earlier probes left, as far as these credentials reach. */
  async sweep(): Promise<void> {
    const prefix = this.#context.folder + PROBE_PREFIX
    const command = new ListObjectVersionsCommand({
      Bucket: this.#context.options.bucket,
      Prefix: prefix,
      MaxKeys: SWEEP_MAX,
    })
    const page = await this.#attempt(prefix, (abortSignal) =>
      this.#context.client.send(command, { abortSignal }),
    )
    if (page.kind === 'refused') return
    for (const { Key = '', VersionId, LastModified } of [
      ...(page.value.Versions ?? []),
      ...(page.value.DeleteMarkers ?? []),
    ]) {
      if ((LastModified?.getTime() ?? Infinity) > this.nowMs - SWEEP_AGE_MS) continue
      await this.remove({
        kind: 'done',
        key: Key.slice(this.#context.folder.length),
        versionId: VersionId ?? null,
      })
    }
  }

  #attempt<T>(
    key: string,
    send: (signal: AbortSignal) => Promise<T>,
  ): Promise<{ readonly kind: 'done'; readonly value: T } | Refused> {
    return request(this.#context, { key }, async (signal) => {
      try {
        return { kind: 'done', value: await send(signal) }
      } catch (error) {
        if (!isRefusal(error)) throw error
        return { kind: 'refused', isDenied: isDenied(error), told: reasonOf(error) }
      }
    })
  }

  #at(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.#context.options.bucket, Key: this.#context.folder + key }
  }
}

function versionOf(versionId: string | null): { VersionId?: string } {
  return versionId === null ? {} : { VersionId: versionId }
}
