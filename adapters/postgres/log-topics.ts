/**
 * Topics of the Postgres log and the numbers that its tables know them by. A number is never given twice by one server,
 * so a cached number of a topic that was deleted finds nothing instead of another topic's records; an older copy of the
 * database may give it again, so that numbers count only where they were read.
 */
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { Topic, TopicId, TopicSpec } from '../../core/ports/event-log.ts'
import type { Database } from './database.ts'
import { onServer } from './servers.ts'

interface TopicRow {
  readonly topic_no: number
  readonly name: string
  readonly id: string
  readonly partitions: number
}

export class LogTopics {
  readonly #database: Database
  readonly #prefix: string
  #numbers: ReadonlyMap<TopicId, number> = new Map()
  #server: string | null = null
  #there: Database

  constructor(database: Database, prefix: string) {
    this.#database = database
    this.#there = database
    this.#prefix = prefix
  }

  /** Where the numbers count; elsewhere nothing is sent. */
  get there(): Database {
    return this.#there
  }

  async list(): Promise<readonly Topic[]> {
    const server = this.#database.server()
    const rows = await this.#database.query<TopicRow>(
      `SELECT topic_no, name, replace(topic_id::text, '-', '') AS id, partitions FROM log_topics
        WHERE starts_with(name, $1 || '.') ORDER BY name COLLATE "C"`,
      [this.#prefix],
    )
    this.#numbers = new Map(rows.map(({ id, topic_no }) => [id, topic_no]))
    if (server === null || server !== this.#server) this.#there = onServer(this.#database, server)
    this.#server = server
    return rows.map(({ name, id, partitions }) => ({ name, id, partitions, createdByUs: true }))
  }

  /** Adds what is missing; never takes partitions away. */
  async ensure(specs: readonly TopicSpec[]): Promise<readonly Topic[]> {
    await this.#database.transaction(async (transaction) => {
      for (const { name, partitions } of [...specs].sort((a, b) => (a.name < b.name ? -1 : 1))) {
        const [row] = await transaction.query<{ topic_no: number }>(
          `INSERT INTO log_topics AS t (name, partitions) VALUES ($1, $2)
           ON CONFLICT (name) DO UPDATE SET partitions = greatest(t.partitions, excluded.partitions)
           RETURNING topic_no`,
          [name, partitions],
        )
        await transaction.query(
          `INSERT INTO log_partitions (topic_no, partition_no) SELECT $1, generate_series(0, $2::integer - 1)
           ON CONFLICT DO NOTHING`,
          [row?.topic_no, partitions],
        )
      }
    })
    const names = new Set(specs.map(({ name }) => name))
    return (await this.list()).filter(({ name }) => names.has(name))
  }

  /** For tests and tools: the topic and its offsets are gone; its records go with their slices. */
  async remove(name: string): Promise<void> {
    await this.#database.query('DELETE FROM log_topics WHERE name = $1', [name])
  }

  /** @throws LOG_TOPIC_REPLACED when no topic has this id. */
  async numberOf(id: TopicId): Promise<number> {
    if (this.#server !== this.#database.server()) await this.list()
    const known = this.#numbers.get(id)
    if (known !== undefined) return known
    await this.list()
    const found = this.#numbers.get(id)
    if (found === undefined) throw new HooktrailError('LOG_TOPIC_REPLACED', { topicId: id })
    return found
  }
}
