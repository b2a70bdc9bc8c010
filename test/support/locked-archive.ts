/** An archive in a bucket with Object Lock, in the hands of somebody with every right there, the bypass of locks among them. */
import assert from 'node:assert/strict'
import {
  DeleteObjectCommand,
  PutObjectCommand,
  PutObjectLegalHoldCommand,
  PutObjectRetentionCommand,
} from '@aws-sdk/client-s3'
import type { S3Store } from '../../adapters/s3/s3-store.ts'
import type { S3Stage } from './s3-stage.ts'

export class LockedArchive {
  readonly store: S3Store
  readonly #stage: S3Stage
  readonly #keys: readonly string[]

  private constructor(stage: S3Stage, store: S3Store, keys: readonly string[]) {
    this.#stage = stage
    this.store = store
    this.#keys = keys
  }

  static async open(stage: S3Stage, store: S3Store): Promise<LockedArchive> {
    const keys = (await Array.fromAsync(store.list(''))).map(({ key }) => key)
    return new LockedArchive(stage, store, keys)
  }

  keys(prefix: string): readonly string[] {
    return this.#keys.filter((key) => key.startsWith(prefix))
  }

  key(prefix: string, index = 0): string {
    const found = this.keys(prefix).at(index)
    assert(found !== undefined, `there is no ${prefix} ${String(index)}`)
    return found
  }

  async write(key: string, body: string | Buffer): Promise<void> {
    await this.#stage.client.send(new PutObjectCommand({ ...this.#at(key), Body: body }))
  }

  async bytes(key: string): Promise<Buffer> {
    const bytes = await this.store.read(key, 1 << 24)
    assert(bytes !== null)
    return bytes
  }

  async writeAgain(key: string): Promise<void> {
    await this.write(key, await this.bytes(key))
  }

  /** A plain delete, which leaves a marker. */
  async mark(key: string): Promise<void> {
    await this.#stage.client.send(new DeleteObjectCommand(this.#at(key)))
  }

  async shorten(key: string, untilMs: number): Promise<void> {
    await this.#stage.client.send(
      new PutObjectRetentionCommand({
        ...this.#at(key),
        Retention: { Mode: 'GOVERNANCE', RetainUntilDate: new Date(untilMs) },
        BypassGovernanceRetention: true,
      }),
    )
  }

  async release(key: string): Promise<void> {
    await this.#stage.client.send(
      new PutObjectLegalHoldCommand({ ...this.#at(key), LegalHold: { Status: 'OFF' } }),
    )
  }

  async removeVersion(key: string): Promise<void> {
    const [version] = await Array.fromAsync(this.store.listVersions(key))
    assert(version !== undefined)
    await this.#stage.client.send(
      new DeleteObjectCommand({
        ...this.#at(key),
        VersionId: version.versionId,
        BypassGovernanceRetention: true,
      }),
    )
  }

  /** Removed and written anew with the same bytes, and without a lock. */
  async rewriteUnlocked(key: string): Promise<void> {
    const bytes = await this.bytes(key)
    await this.removeVersion(key)
    await this.write(key, bytes)
  }

  #at(key: string): { readonly Bucket: string; readonly Key: string } {
    return this.#stage.at(this.store, key)
  }
}
