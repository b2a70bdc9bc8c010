/**
 * One data object against its manifest: there, of the right size and SHA-256 (L1); each row's leaf, the root over
 * them, and every offset of the range either a row or in a declared gap (L2). One pass over the bytes does both.
 */
import { createHash } from 'node:crypto'
import { HooktrailError } from '../../error/hooktrail-error.ts'
import { readLeaves } from '../data-rows.ts'
import type { Manifest, ManifestData } from '../manifest.ts'
import { RowCheck, type LeafListener, type RowFault } from '../row-check.ts'
import type { VerifyContext } from './verify-context.ts'
import { messageOf } from '../../error/message-of.ts'

export interface DataRequest {
  readonly manifest: Manifest
  readonly data: ManifestData
  /** Null where nobody waits for leaves. */
  readonly onLeaf: LeafListener | null
}

/** @returns true when rows were read, and are those of the manifest */
export async function verifyData(
  context: VerifyContext,
  { manifest, data, onLeaf }: DataRequest,
): Promise<boolean> {
  const { findings, store, level } = context
  const bytes = await store.open(data.key)
  if (bytes === null) {
    noteMissing(context, manifest, data)
    return false
  }
  const digest = new ByteDigest(context)
  const rows = level === 2 ? new RowCheck(manifest, onLeaf) : null
  const fault =
    rows === null
      ? await drain(bytes, digest)
      : await readChecked(context, { bytes, manifest, data, rows, digest })
  if (digest.size !== data.size && fault === null) {
    findings.altered(
      'data-altered',
      data.key,
      `it has ${String(digest.size)} bytes, not ${String(data.size)}`,
    )
  } else if (fault === null && digest.hex() !== data.sha256) {
    findings.altered('data-altered', data.key, 'it does not have the SHA-256 that its manifest names')
  }
  const wrong = fault ?? rows?.finish() ?? null
  if (wrong !== null) findings.add({ code: 'rows-altered', severity: 'altered', object: data.key, ...wrong })
  return rows !== null && wrong === null
}

/** Without reading it: it is there, with its size. */
export async function verifyPresence(
  context: VerifyContext,
  manifest: Manifest,
  data: ManifestData,
): Promise<void> {
  for await (const { key, size } of context.store.list(data.key)) {
    if (key !== data.key) continue
    if (size !== data.size)
      context.findings.altered('data-altered', key, `it has ${String(size)} bytes, not ${String(data.size)}`)
    return
  }
  noteMissing(context, manifest, data)
}

/** What has run out may be gone: the manifest still says what it was. What is held may not. */
function noteMissing(
  { findings, agreements, nowMs }: VerifyContext,
  manifest: Manifest,
  { key }: ManifestData,
): void {
  const { retention } = manifest
  if (retention !== null && Date.parse(retention.until) < nowMs && !agreements.isHeld(manifest))
    findings.note('expired', key, `the data object is gone, which was kept until ${retention.until}`)
  else findings.altered('data-missing', key, 'the data object is missing')
}

class ByteDigest {
  size = 0
  readonly #hash = createHash('sha256')
  readonly #context: VerifyContext

  constructor(context: VerifyContext) {
    this.#context = context
  }

  add(bytes: Uint8Array): void {
    this.#hash.update(bytes)
    this.size += bytes.length
    this.#context.counts.bytes += BigInt(bytes.length)
    this.#context.onProgress({ bytes: this.#context.counts.bytes, bytesTotal: null })
  }

  hex(): string {
    return this.#hash.digest('hex')
  }
}

async function drain(bytes: AsyncIterable<Uint8Array>, digest: ByteDigest): Promise<null> {
  for await (const chunk of bytes) digest.add(chunk)
  return null
}

interface CheckedRead {
  readonly bytes: AsyncIterable<Uint8Array>
  readonly manifest: Manifest
  readonly data: ManifestData
  readonly rows: RowCheck
  readonly digest: ByteDigest
}

/** @returns why the object cannot be read to its end, or null */
async function readChecked(
  context: VerifyContext,
  { bytes, manifest, data, rows, digest }: CheckedRead,
): Promise<RowFault | null> {
  try {
    const { topic, topic_id: topicId, partition } = manifest
    await readLeaves({
      bytes,
      format: data.format,
      at: { topic, topicId, partition },
      onBytes: (chunk) => {
        digest.add(chunk)
      },
      onRow: (row) => {
        rows.add(row)
      },
      signal: context.signal,
    })
    return null
  } catch (error) {
    context.signal.throwIfAborted()
    if (error instanceof HooktrailError && error.code !== 'ARCHIVE_ROW_INVALID') throw error
    const why = messageOf(error)
    return { text: `it cannot be read to its end: ${why}`, offset: String(rows.next) }
  }
}
