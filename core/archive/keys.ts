/**
 * Where things lie in the archive (archive.md §2). Every key that serves as a compare-and-swap is a function of the
 * sequence number alone. `incarnation` is the first 8 hex digits of the topic id.
 */
import { SEGMENT_FORMATS, type Manifest, type SegmentFormat } from './manifest.ts'

const YEAR_FIRST_MS = 0
const YEAR_LAST_MS = Date.UTC(9999, 11, 31, 23)

export const GENESIS_KEY = 'genesis.note'
export const README_KEY = 'README.txt'
export const FORMATS_KEY = 'formats.md'
export const TOOLS_PREFIX = 'tools/'

/** The independent verifier as that version of hooktrail shipped it. */
export function verifierToolKey(version: string): string {
  return `${TOOLS_PREFIX}${version}/hooktrail_verify.py`
}

export function incarnationOf(topicId: string): string {
  return topicId.slice(0, 8)
}

function pad(value: bigint | number, width: number): string {
  return String(value).padStart(width, '0')
}

export function segmentPrefix(topic: string, topicId: string, partition: number): string {
  return `segments/${topic}/${incarnationOf(topicId)}/p${pad(partition, 5)}/`
}

export function manifestKey(topic: string, topicId: string, partition: number, start: bigint): string {
  return `${segmentPrefix(topic, topicId, partition)}${pad(start, 20)}.note`
}

export interface DataKeyParts {
  readonly topic: string
  readonly topicId: string
  readonly partition: number
  readonly start: bigint
  /** Broker timestamp of the first batch at or after `start`, milliseconds. */
  readonly timestampMs: bigint
  readonly format: SegmentFormat
}

/** A foreign producer's time may lie outside what a date can name: then it is filed under the nearest year of four digits. */
function hourOf(timestampMs: bigint): number {
  return Math.min(Math.max(Number(timestampMs), YEAR_FIRST_MS), YEAR_LAST_MS)
}

/** Only the data key carries a date: it is no compare-and-swap, the manifest is. */
export function dataKey(parts: DataKeyParts): string {
  const iso = new Date(hourOf(parts.timestampMs)).toISOString()
  const name = `${incarnationOf(parts.topicId)}-p${pad(parts.partition, 5)}-${pad(parts.start, 20)}.${parts.format}`
  return `data/topic=${parts.topic}/dt=${iso.slice(0, 10)}/hour=${iso.slice(11, 13)}/${name}`
}

export function heartbeatKey(n: bigint): string {
  return `heartbeats/${pad(n / 10000n, 8)}/${pad(n, 12)}.note`
}

/** Signed notes that are numbered 0, 1, 2 …, each naming the one before. */
export type NumberedNotes = 'policy' | 'holds' | 'keys'

export function numberedKey(notes: NumberedNotes, n: bigint): string {
  return `${notes}/${pad(n, 12)}.note`
}

/** Topic whose records the object holds or describes; null for what describes the archive as a whole. */
export function topicOfKey(objectKey: string): string | null {
  const [, data, segments] = TOPIC_IN_KEY.exec(objectKey) ?? []
  return data ?? segments ?? null
}

export function keyOfManifest(
  manifest: Pick<Manifest, 'topic' | 'topic_id' | 'partition' | 'first'>,
): string {
  return manifestKey(manifest.topic, manifest.topic_id, manifest.partition, BigInt(manifest.first))
}

const KEY_LENGTH_MAX = 1024
const OBJECT_KEY = /^[A-Za-z0-9_][A-Za-z0-9._=+-]{0,254}(?:\/[A-Za-z0-9_][A-Za-z0-9._=+-]{0,254})*$/
const MANIFEST_KEY = /^segments\/[A-Za-z0-9._-]+\/[0-9a-f]{8}\/p[0-9]{5}\/[0-9]{20}\.note$/
const TOPIC_IN_KEY = /^(?:data\/topic=([^/]+)|segments\/([^/]+))\//
const DATA_KEY =
  /^data\/topic=([A-Za-z0-9._-]+)\/dt=[0-9-]{10}\/hour=[0-9]{2}\/([0-9a-f]{8})-(p[0-9]{5})-([0-9]{20})\.([a-z.]+)$/

/** What the probe of the deletion lock writes beside the archive: nothing below it is a part of one. */
export const PROBE_PREFIX = 'probe/'

/** Checked letter by letter: no key can leave the store's root, name a hidden file, or mean two things. `tmp/` is the store's. */
export function isObjectKey(key: string): boolean {
  if (key.startsWith('tmp/') || key.startsWith(PROBE_PREFIX)) return false
  return key.length <= KEY_LENGTH_MAX && OBJECT_KEY.test(key)
}

export function isManifestKey(key: string): boolean {
  return MANIFEST_KEY.test(key)
}

export interface DataKeyName {
  /** Prefix of the manifests of its chain. */
  readonly folder: string
  readonly manifestKey: string
  readonly start: bigint
  readonly format: SegmentFormat
}

/** What a data object's name says about the manifest that must name it; null when it is no such name. */
export function dataKeyParts(key: string): DataKeyName | null {
  const [, topic = '', incarnation = '', partition = '', start = '', extension] = DATA_KEY.exec(key) ?? []
  const format = SEGMENT_FORMATS.find((known) => known === extension)
  if (format === undefined) return null
  const folder = `segments/${topic}/${incarnation}/${partition}/`
  const manifestKey = `${folder}${start}.note`
  return isObjectKey(manifestKey) ? { folder, manifestKey, start: BigInt(start), format } : null
}
