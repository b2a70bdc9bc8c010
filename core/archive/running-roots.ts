/**
 * What an archiver says of its open segments, so that whoever signs the next heartbeat can sign it, too: the root over
 * the leaves so far. It is a signed note, as it passes through the job store, which is trusted for nothing in the archive.
 */
import { z } from 'zod'
import type { TopicPartition } from '../ports/event-log.ts'
import { canonicalJson } from './canonical-json.ts'
import {
  count,
  int64,
  parseDocument,
  sha256,
  text,
  time,
  topicId,
  topicName,
  version,
} from './document-fields.ts'
import { FORMAT_VERSION } from './manifest.ts'
import type { Signer } from '../ports/signer.ts'
import { openNote, signNoteBy, type NoteVerifier } from './signed-note.ts'

/** Root over the records of [start, next). */
export interface OpenRoot {
  readonly at: TopicPartition
  readonly start: bigint
  readonly next: bigint
  readonly root: string
}

const schema = z.strictObject({
  kind: z.literal('running-roots'),
  format_version: version,
  archive_id: text,
  posted_at: time,
  roots: z.array(
    z.strictObject({
      topic: topicName,
      topic_id: topicId,
      partition: count,
      start: int64,
      next: int64,
      root: sha256,
    }),
  ),
  writer: text,
})

export interface PostedRoots {
  readonly archiveId: string
  readonly postedAt: string
  readonly writer: string
  readonly roots: readonly OpenRoot[]
}

/** @throws ARCHIVE_SIGNER_FAILED */
export function signRoots(
  { archiveId, postedAt, writer, roots }: PostedRoots,
  signer: Signer,
): Promise<Buffer> {
  const document = {
    kind: 'running-roots',
    format_version: FORMAT_VERSION,
    archive_id: archiveId,
    posted_at: postedAt,
    roots: roots.map(({ at, start, next, root }) => ({
      topic: at.topic,
      topic_id: at.topicId,
      partition: at.partition,
      start: String(start),
      next: String(next),
      root,
    })),
    writer,
  }
  return signNoteBy(`${canonicalJson(document)}\n`, [signer])
}

/** @throws ARCHIVE_NOTE_INVALID, ARCHIVE_DOCUMENT_INVALID */
export function openRoots(note: Buffer, keys: readonly NoteVerifier[]): PostedRoots {
  const document = parseDocument(schema, openNote(note, keys).text)
  return {
    archiveId: document.archive_id,
    postedAt: document.posted_at,
    writer: document.writer,
    roots: document.roots.map(({ topic, topic_id, partition, start, next, root }) => ({
      at: { topic, topicId: topic_id, partition },
      start: BigInt(start),
      next: BigInt(next),
      root,
    })),
  }
}
