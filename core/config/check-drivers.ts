/**
 * Each driver has the keys that it needs, and no key stands beside a driver that would not read it (I10). Reads only the
 * keys that it looks at, so that one malformed key hides no other fault.
 */
import type { Report } from './config-fault.ts'
import { soundMembers } from './parse-section.ts'
import { sectionSchemas } from './schema.ts'
import { kafkaKeys, redisKeys, s3Keys, saslSchema } from './service-keys.ts'

interface Drivers {
  readonly section: 'log' | 'queue' | 'archive'
  /** The driver whose keys these are, and the one that is meant when none is said. */
  readonly driver: string
  readonly otherwise: string
  readonly keys: readonly string[]
  readonly needs: string
  readonly example: string
}

const drivers: readonly Drivers[] = [
  {
    section: 'log',
    driver: 'kafka',
    otherwise: 'postgres',
    keys: Object.keys(kafkaKeys),
    needs: 'brokers',
    example: 'brokers: [kafka-1:9092]',
  },
  {
    section: 'queue',
    driver: 'redis',
    otherwise: 'postgres',
    keys: Object.keys(redisKeys),
    needs: 'url',
    example: 'url: ${REDIS_URL}',
  },
  {
    section: 'archive',
    driver: 's3',
    otherwise: 'directory',
    keys: Object.keys(s3Keys),
    needs: 'bucket',
    example: 'bucket: my-archive',
  },
  {
    section: 'archive',
    driver: 'directory',
    otherwise: 'directory',
    keys: ['directory'],
    needs: '',
    example: '',
  },
]

/** @param root what stands at the root of the file. */
export function checkDrivers(root: ReadonlyMap<string, unknown>, report: Report): void {
  for (const row of drivers) {
    const value = root.get(row.section)
    if (typeof value === 'object' && value !== null) checkDriver(row, new Map(Object.entries(value)), report)
  }
  checkSasl(root.get('log'), report)
  checkTopology(root.get('queue'), report)
}

function checkDriver(row: Drivers, section: ReadonlyMap<string, unknown>, report: Report): void {
  const { driver, keys, needs, example } = row
  const chosen = section.get('driver') ?? row.otherwise
  if (chosen === driver && needs !== '' && !hasValue(section.get(needs)))
    report({ at: [row.section], message: `has no ${needs}, which ${driver} needs`, hint: `add: ${example}` })
  if (chosen === driver || !isDriver(row.section, chosen)) return
  for (const key of keys)
    if (section.has(key))
      report({
        at: [row.section, key],
        message: `is read by driver ${driver} alone, and driver is ${chosen}`,
      })
}

/** A driver that nobody has is reported where it stands, and no more is said of it. */
function isDriver(section: Drivers['section'], chosen: unknown): chosen is string {
  return sectionSchemas[section].shape.driver.safeParse(chosen).success
}

function hasValue(value: unknown): boolean {
  return value !== undefined && (!Array.isArray(value) || value.length > 0)
}

/** Where the servers behind `url` are. */
function checkTopology(queue: unknown, report: Report): void {
  if (typeof queue !== 'object' || queue === null) return
  const given = new Map(Object.entries(queue))
  const [sentinels, cluster] = [given.has('sentinels'), given.has('cluster')]
  const url = URL.parse(String(given.get('url')))
  if (sentinels && cluster)
    report({ at: ['queue', 'cluster'], message: 'stands beside sentinels: a Redis has one or the other' })
  if (sentinels && !hasValue(given.get('sentinels')))
    report({ at: ['queue', 'sentinels'], message: 'is empty', hint: 'add: sentinels: [sentinel-1:26379]' })
  for (const key of ['sentinel_username', 'sentinel_password'])
    if (given.has(key) && !sentinels)
      report({ at: ['queue', key], message: 'is for sentinels, and there are none' })
  if ((sentinels || cluster) && given.has('url') && !/^rediss?:$/.test(url?.protocol ?? ''))
    report({ at: ['queue', 'url'], message: 'must be a redis:// or rediss:// URL' })
  if (cluster && /[1-9]/.test(url?.pathname ?? ''))
    report({ at: ['queue', 'url'], message: 'names a database, and a Redis Cluster has number 0 alone' })
}

function checkSasl(log: unknown, report: Report): void {
  if (typeof log !== 'object' || log === null || !('sasl' in log)) return
  const at = ['log', 'sasl']
  const sasl = soundMembers(saslSchema, { at, value: log.sasl }, Object.keys(saslSchema.shape))
  if (sasl === null) return
  const needed = sasl.mechanism === 'OAUTHBEARER' ? (['token'] as const) : (['username', 'password'] as const)
  for (const key of needed)
    if (sasl[key] === undefined) report({ at, message: `has no ${key}, which ${sasl.mechanism} needs` })
}
