/**
 * Topics: created so that the log can be trusted, or checked for it. What would lose or forget acknowledged events, or
 * let the time of a record be chosen by its producer, is refused with every reason at once (I10, I11).
 */
import { ConfigResourceTypes, type Admin } from '@platformatic/kafka'
import type { Clock } from '../../core/clock.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { Logger } from '../../core/log.ts'
import type { Topic, TopicId, TopicSpec } from '../../core/ports/event-log.ts'
import { brokerErrorsOf, isBrokerFailure } from './broker-error.ts'
import type { Cluster } from './cluster.ts'
import type { TopicView } from './metadata-api.ts'

export interface TopicAdminOptions {
  readonly cluster: Cluster
  readonly admin: Admin
  readonly clock: Clock
  readonly logger: Logger
  readonly topicPrefix: string
  readonly replication: number
  readonly recordBytesMax: number
}

export interface TopicFault {
  readonly topic: string
  readonly setting: string
  readonly value: string
  readonly needed: string
  readonly why: string
}

type Settings = ReadonlyMap<string, string>

const CREATED_MS_MAX = 10_000
const BROKER_DEFAULT_BYTES_MAX = 1_048_588
const NO_ID = '0'.repeat(32)
/**
 * Kafka has no place for a note on a topic. This setting means nothing on a topic that is not compacted, is written in
 * the same step that creates the topic, and goes with it: its odd value says that hooktrail made the topic, so that
 * nothing in it was there before (dispatcher/register-handlers.ts).
 */
export const CREATED_BY_US = { name: 'delete.retention.ms', value: '86401979' } as const
/** What a broker says when a topic cannot be made as asked. */
const NOT_AS_ASKED =
  /^INVALID_(?:REPLICATION_FACTOR|CONFIG|PARTITIONS|TOPIC_EXCEPTION|REQUEST)$|^POLICY_VIOLATION$/

export class TopicAdmin {
  readonly #options: TopicAdminOptions
  readonly #createdByUs = new Map<TopicId, boolean>()

  constructor(options: TopicAdminOptions) {
    this.#options = options
  }

  async list(): Promise<readonly Topic[]> {
    const { cluster, topicPrefix } = this.#options
    const { topics } = await cluster.refresh(null)
    const ours = [...topics.values()].filter(
      ({ name, isInternal }) => !isInternal && name.startsWith(`${topicPrefix}.`),
    )
    await this.#learnOrigins(ours)
    return ours.map((topic) => this.#toTopic(topic)).sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** Not below the prefix; never made here. */
  async foreign(name: string): Promise<Topic | null> {
    const { cluster, topicPrefix } = this.#options
    const view = (await cluster.refresh([name])).topics.get(name)
    if (view === undefined || view.isInternal || name.startsWith(`${topicPrefix}.`)) return null
    return this.#toTopic(view)
  }

  /** @throws LOG_TOPIC_SETTINGS with every fault of every topic */
  async ensure(specs: readonly TopicSpec[]): Promise<readonly Topic[]> {
    const names = specs.map(({ name }) => name)
    const before = await this.#options.cluster.refresh(names)
    for (const spec of specs) {
      const partitions = before.topics.get(spec.name)?.partitions.length ?? 0
      if (partitions === 0) await this.#create(spec)
      else if (partitions < spec.partitions) await this.#grow(spec)
    }
    const views = await this.#untilLed(specs)
    const settings = await this.#settingsOf(names)
    const faults = views.flatMap((view) => this.#faultsOf(view, settings.get(view.name) ?? new Map()))
    if (faults.length > 0) throw new HooktrailError('LOG_TOPIC_SETTINGS', { faults })
    this.#rememberOrigins(views, settings)
    this.#warnOfSingleCopies(views)
    return views.map((view) => this.#toTopic(view)).sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** Another process may be faster; whose topic it then is, the metadata says. */
  async #create({ name, partitions }: TopicSpec): Promise<void> {
    const { admin, replication, recordBytesMax } = this.#options
    const configs = [
      { name: 'cleanup.policy', value: 'delete' },
      { name: 'retention.ms', value: '-1' },
      { name: 'retention.bytes', value: '-1' },
      { name: 'message.timestamp.type', value: 'LogAppendTime' },
      { name: 'min.insync.replicas', value: replication > 1 ? '2' : '1' },
      { name: 'max.message.bytes', value: String(Math.max(recordBytesMax, BROKER_DEFAULT_BYTES_MAX)) },
      CREATED_BY_US,
    ]
    const topics = [{ topic: name, partitions, replicas: replication }]
    await tolerating('TOPIC_ALREADY_EXISTS', name, admin.createTopics({ topics, configs }))
  }

  async #grow({ name, partitions: count }: TopicSpec): Promise<void> {
    const topics = [{ name, count, assignments: null }]
    await tolerating('INVALID_PARTITIONS', name, this.#options.admin.createPartitions({ topics }))
  }

  /** A topic that was just made shows a little later, and has leaders a little later still. */
  async #untilLed(specs: readonly TopicSpec[]): Promise<readonly TopicView[]> {
    const { cluster, clock } = this.#options
    const giveUpAt = clock.monotonic() + CREATED_MS_MAX
    for (;;) {
      const { topics } = await cluster.refresh(specs.map(({ name }) => name))
      const missing = specs.filter(({ name, partitions }) => {
        const view = topics.get(name)
        return (
          view === undefined ||
          view.partitions.length < partitions ||
          view.partitions.some(({ leader }) => leader < 0)
        )
      })
      if (missing.length === 0) return [...topics.values()]
      if (clock.monotonic() > giveUpAt)
        throw new HooktrailError('LOG_UNAVAILABLE', { reason: 'topics without a leader', topics: missing })
      await cluster.pause()
    }
  }

  /** Kafka acknowledges before it writes to disk, and stands on its replicas instead. */
  #warnOfSingleCopies(topics: readonly TopicView[]): void {
    const single = topics.filter(({ partitions }) => partitions.some(({ replicas }) => replicas < 2))
    if (single.length > 0)
      this.#options.logger.warn(
        { topics: single.map(({ name }) => name) },
        'topics with one copy: acknowledged events are lost with the power or the disk of their broker',
      )
  }

  async #settingsOf(names: readonly string[]): Promise<ReadonlyMap<string, Settings>> {
    if (names.length === 0) return new Map()
    const resources = names.map((resourceName) => ({ resourceType: ConfigResourceTypes.TOPIC, resourceName }))
    const described = await this.#options.admin.describeConfigs({ resources })
    return new Map(
      described.map(({ resourceName, configs }) => [
        resourceName,
        new Map(configs.map(({ name, value }) => [name, value ?? ''])),
      ]),
    )
  }

  #faultsOf({ name: topic, id, partitions }: TopicView, settings: Settings): readonly TopicFault[] {
    const { replication, recordBytesMax } = this.#options
    const fault = (setting: string, needed: string, why: string): TopicFault => ({
      ...{ topic, setting, value: settings.get(setting) ?? 'not told', needed, why },
    })
    const expect = (setting: string, needed: string, why: string): readonly TopicFault[] =>
      settings.get(setting) === needed ? [] : [fault(setting, needed, why)]
    const atLeast = (setting: string, needed: number, why: string): readonly TopicFault[] =>
      Number(settings.get(setting) ?? 0) >= needed ? [] : [fault(setting, `${needed} or more`, why)]
    const replicas = Math.min(...partitions.map((each) => each.replicas))
    return [
      ...(id === NO_ID
        ? [
            {
              ...fault('topic id', 'one', 'without ids a topic that was made anew cannot be told'),
              value: 'none',
            },
          ]
        : []),
      ...(replicas < replication
        ? [{ ...fault('replication', `${replication}`, 'log.replication asks for it'), value: `${replicas}` }]
        : []),
      ...(replicas > 1
        ? atLeast('min.insync.replicas', 2, 'one copy alone would count as acknowledged')
        : []),
      ...expect('cleanup.policy', 'delete', 'compaction would drop events'),
      ...expect('retention.ms', '-1', 'the log forgets only what is archived'),
      ...expect('retention.bytes', '-1', 'the log forgets only what is archived'),
      ...expect(
        'message.timestamp.type',
        'LogAppendTime',
        'the broker says when an event arrived, not its producer',
      ),
      ...atLeast('max.message.bytes', recordBytesMax, 'the largest event that a source takes must fit'),
    ]
  }

  async #learnOrigins(topics: readonly TopicView[]): Promise<void> {
    const unknown = topics.filter(({ id }) => !this.#createdByUs.has(id))
    this.#rememberOrigins(unknown, await this.#settingsOf(unknown.map(({ name }) => name)))
  }

  #rememberOrigins(topics: readonly TopicView[], settings: ReadonlyMap<string, Settings>): void {
    for (const topic of topics) {
      const told = settings.get(topic.name) ?? new Map<string, string>()
      const mark = told.get(CREATED_BY_US.name)
      // Brokers that do not keep the mark (an older Redpanda): a topic made fit for us counts as ours, since taking a
      // stranger's for ours delivers too much, and ours for a stranger's too little.
      const ours =
        mark === undefined ? this.#faultsOf(topic, told).length === 0 : mark === CREATED_BY_US.value
      this.#createdByUs.set(topic.id, ours)
    }
  }

  #toTopic({ name, id, partitions }: TopicView): Topic {
    return { name, id, partitions: partitions.length, createdByUs: this.#createdByUs.get(id) ?? false }
  }
}

async function tolerating(expected: string, topic: string, work: Promise<unknown>): Promise<void> {
  try {
    await work
  } catch (error) {
    const names = brokerErrorsOf(error)
    if (isBrokerFailure(error) && names.includes(expected)) return
    const refused = names.find((name) => NOT_AS_ASKED.test(name))
    if (refused === undefined) throw error
    const said = saidBy(error)
    // Brokers that start, or were held up, register again by themselves; then there are as many as were asked for.
    if (said?.includes('fenced') === true)
      throw new HooktrailError('LOG_UNAVAILABLE', { reason: said }, error)
    throw new HooktrailError('LOG_TOPIC_SETTINGS', { topic, reason: refused, said }, error)
  }
}

/** The broker's own words, where it has some. */
function saidBy(error: unknown): string | null {
  if (!(error instanceof Error)) return null
  if ('serverErrorMessage' in error && typeof error.serverErrorMessage === 'string')
    return error.serverErrorMessage
  const inside: readonly unknown[] = error instanceof AggregateError ? error.errors : []
  return inside.map(saidBy).find((said) => said !== null) ?? null
}
