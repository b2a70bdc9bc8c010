/**
 * Where things lie in the archive (archive.md §2). Every key that serves as a compare-and-swap is a function of the
 * sequence number alone. `incarnation` is the first 8 hex digits of the topic id.
 */
import type { SegmentFormat } from './manifest.ts'

const YEAR_FIRST_MS = 0
const YEAR_LAST_MS = Date.UTC(9999, 11, 31, 23)

export const GENESIS_KEY = 'genesis.note'
export const README_KEY = 'README.txt'
export const FORMATS_KEY = 'formats.md'

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
