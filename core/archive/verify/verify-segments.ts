/**
 * The chain of manifests of every partition, in the order of their keys, which is the order of offsets: signed, each
 * beginning where the one before ended and naming its hash. The data of each is checked on the way.
 */
import { isLoss } from '../../gap-reason.ts'
import { parseManifest } from '../documents.ts'
import { dataKeyParts, isManifestKey, keyOfManifest } from '../keys.ts'
import type { Manifest, ManifestData } from '../manifest.ts'
import { EMPTY_ROOT } from '../merkle.ts'
import type { LeafListener } from '../row-check.ts'
import { NOTE_BYTES_MAX } from '../signed-note.ts'
import type { Checkpoint } from './checkpoint.ts'
import { partitionName, type ChainEnd, type ChainHead, type PartitionTable } from './partition-table.ts'
import { openVerified, type VerifiedNote } from './read-note.ts'
import type { VerifyContext } from './verify-context.ts'
import { RunningCheck, type RunningClaims } from './running-claims.ts'
import { verifyData, verifyPresence } from './verify-data.ts'
import { verifySegmentLocks } from './verify-locks.ts'

export interface SegmentsRequest {
  readonly table: PartitionTable
  readonly running: RunningClaims
  readonly checkpoint: Checkpoint | null
  /** On which the run rests: what it covers is not read again. */
  readonly rest: Checkpoint | null
}

/** @returns the head of every chain, by partition name. */
export async function verifySegments(
  context: VerifyContext,
  request: SegmentsRequest,
): Promise<ReadonlyMap<string, ChainEnd>> {
  const pass = new SegmentPass(context, request)
  for await (const { key } of context.store.list('segments/')) {
    context.signal.throwIfAborted()
    await pass.step(key)
  }
  pass.end()
  return pass.ends
}

class SegmentPass {
  readonly ends = new Map<string, ChainEnd>()
  readonly #context: VerifyContext
  readonly #request: SegmentsRequest
  readonly #remembered: ReadonlyMap<string, ChainHead>
  #folder = ''
  /** Null at the start of a chain. */
  #end: ChainEnd | null = null
  /** False after a manifest that cannot be read: the next one's link cannot be compared. */
  #linked = true
  readonly #running = new RunningCheck()

  #unread = { segments: 0, bytes: 0n }

  constructor(context: VerifyContext, request: SegmentsRequest) {
    this.#context = context
    this.#request = request
    this.#remembered = new Map(request.checkpoint?.heads.map((head) => [partitionName(head), head]))
  }

  async step(key: string): Promise<void> {
    const folder = key.slice(0, key.lastIndexOf('/') + 1)
    if (folder !== this.#folder) {
      this.#folder = folder
      this.#end = null
      this.#linked = true
      this.#running.drop()
    }
    if (!isManifestKey(key)) {
      this.#context.findings.altered('foreign', key, 'no manifest has such a name')
      return
    }
    const bytes = await this.#context.store.read(key, NOTE_BYTES_MAX)
    const note = bytes === null ? null : openVerified(this.#context, { key, parse: parseManifest }, bytes)
    if (note === null) {
      this.#linked = false
      this.#running.drop()
      return
    }
    if (keyOfManifest(note.document) !== key) {
      this.#context.findings.altered('manifest-foreign', key, 'its text belongs under another key')
      return
    }
    if (!this.#link(key, note.document)) return
    this.#take(key, note)
    const claims = this.#request.running.take(partitionName(note.document), BigInt(note.document.first))
    this.#running.begin(note.document, claims)
    await this.#verifyContent(key, note.document)
    this.#compareRunning(key, note.document)
    if (this.#context.level > 0) await verifySegmentLocks(this.#context, key, note.document)
  }

  end(): void {
    const { segments, bytes } = this.#unread
    if (segments === 0) return
    const text = `${String(segments)} data objects of ${String(bytes)} bytes were not read again: they rest on the run that wrote it`
    this.#context.findings.note('not-read-again', 'checkpoint', text)
  }

  /** Every manifest up to the remembered head is fixed by that head's hash. */
  #isCovered(manifest: Manifest): boolean {
    if (this.#request.rest === null) return false
    const head = this.#remembered.get(partitionName(manifest))
    return head !== undefined && BigInt(manifest.next) <= BigInt(head.next)
  }

  /** @returns false when the manifest is no part of the chain */
  #link(key: string, manifest: Manifest): boolean {
    const { findings } = this.#context
    const end = this.#end
    if (end === null) {
      if (this.#linked && manifest.previous !== null) {
        findings.altered('manifest-missing', key, 'the chain begins with a manifest that names one before it')
      } else if (this.#linked && manifest.first !== '0' && !manifest.genesis) {
        findings.altered('manifest-chain', key, 'the chain begins later than 0 and does not say so')
      }
      return true
    }
    if (BigInt(manifest.first) < BigInt(end.next)) {
      findings.altered('manifest-foreign', key, `the chain already covers its offsets up to ${end.next}`)
      return false
    }
    if (!this.#linked) return true
    if (manifest.first !== end.next) {
      const missing = `${this.#folder}${end.next.padStart(20, '0')}.note`
      findings.altered('manifest-missing', missing, `the chain goes on at ${manifest.first}`)
      this.#running.drop()
    } else if (manifest.previous !== end.head) {
      findings.altered('manifest-chain', key, 'it names another manifest as the one before it')
    }
    return true
  }

  #take(key: string, { document: manifest, sha256, signer }: VerifiedNote<Manifest>): void {
    const { counts, findings, keyCheck } = this.#context
    const name = partitionName(manifest)
    const { topic, topic_id, partition, next } = manifest
    this.#end = { topic, topic_id, partition, next, head: sha256 }
    this.#linked = true
    this.ends.set(name, this.#end)
    counts.manifests += 1
    counts.records += BigInt(manifest.records)
    const witnessed = this.#request.table.heads.get(name)
    if (witnessed === undefined || BigInt(manifest.first) >= BigInt(witnessed.next)) {
      counts.unwitnessed += 1
      keyCheck.note(key, signer)
    }
    const remembered = this.#remembered.get(name)
    if (remembered?.next === next && remembered.head !== sha256) {
      findings.altered('checkpoint-contradicted', key, 'the checkpoint names another manifest here')
    }
  }

  async #verifyContent(key: string, manifest: Manifest): Promise<void> {
    const { findings, level } = this.#context
    for (const gap of manifest.gaps.filter(({ reason }) => isLoss(reason))) {
      const text = `offsets ${gap.from} to ${gap.to} are declared lost: ${gap.reason}`
      findings.add({ code: 'gap-declared', severity: 'loss', object: key, offset: gap.from, text })
    }
    if (manifest.data === null) {
      if (manifest.merkle_root !== EMPTY_ROOT.toString('hex')) {
        findings.altered('manifest-chain', key, 'it has no records, and yet a root')
      }
      return
    }
    const name = dataKeyParts(manifest.data.key)
    if (name?.manifestKey !== key || name.format !== manifest.data.format) {
      findings.altered('manifest-chain', key, 'it names a data object of another range or format')
      return
    }
    if (level > 0) await this.#verifyData(manifest, manifest.data)
  }

  async #verifyData(manifest: Manifest, data: ManifestData): Promise<void> {
    const running = this.#running
    if (this.#isCovered(manifest)) {
      running.drop()
      this.#unread.segments += 1
      this.#unread.bytes += BigInt(data.size)
      await verifyPresence(this.#context, manifest, data)
      return
    }
    const onLeaf: LeafListener | null = running.isIdle
      ? null
      : (offset, leaf) => {
          running.add(offset, leaf)
        }
    if (!(await verifyData(this.#context, { manifest, data, onLeaf }))) running.drop()
  }

  /** What was signed of these offsets while they lay in an open segment. */
  #compareRunning(key: string, manifest: Manifest): void {
    const object = manifest.data?.key ?? key
    for (const { start, next, heartbeat } of this.#running.end(manifest)) {
      const text = `the root over offsets ${String(start)} to ${String(next - 1n)} is not the one that heartbeat ${String(heartbeat)} signed`
      const offset = String(start)
      this.#context.findings.add({ code: 'running-contradicted', severity: 'altered', object, offset, text })
    }
  }
}
