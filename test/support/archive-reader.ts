/**
 * Reads an archive folder without any product code: zstd from node:zlib and JSON. It is the independent witness of
 * the fault tests, so it shares nothing with core/archive or the verifier.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { zstdDecompressSync } from 'node:zlib'

export interface ArchivedRow {
  readonly topic: string
  readonly topicId: string
  readonly partition: number
  readonly offset: bigint
  readonly eventId: string | null
  /** UTF-8 text of the value, or null where it is not text. */
  readonly value: string | null
}

export function archivedRows(archive: string): readonly ArchivedRow[] {
  if (!existsSync(join(archive, 'data'))) return []
  return readdirSync(join(archive, 'data'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.jsonl.zst'))
    .sort()
    .flatMap((name) =>
      zstdDecompressSync(readFileSync(join(archive, 'data', name)))
        .toString('utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => readRow(JSON.parse(line) as Record<string, unknown>)),
    )
}

/** Ids of the jobs whose successful attempt is archived. */
export function deliveredJobs(rows: readonly ArchivedRow[]): ReadonlySet<string> {
  return new Set(rows.flatMap(successOf))
}

function successOf({ topic, value }: ArchivedRow): readonly string[] {
  if (!topic.endsWith('.deliveries') || value === null) return []
  const row = JSON.parse(value) as Record<string, unknown>
  return row['kind'] === 'attempt' && row['error'] === null ? [String(row['job_id'])] : []
}

function readRow(row: Record<string, unknown>): ArchivedRow {
  const text = (name: string): string | null => (typeof row[name] === 'string' ? row[name] : null)
  return {
    topic: text('topic') ?? '',
    topicId: text('topic_id') ?? '',
    partition: Number(row['partition']),
    offset: BigInt(String(row['offset'])),
    eventId: text('event_id'),
    value: text('value'),
  }
}
