/**
 * docker-compose.yml as far as it can be checked without an engine: what it pins, confines, watches and hands on, and
 * that it agrees with hooktrail's configuration beside it.
 */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { readConfig } from '../../core/config/read-config.ts'
import type { Settings } from '../../core/config/config.ts'
import {
  environmentOf,
  exampleEnv,
  projectFile,
  readComposeFile,
  variablesIn,
  type ComposeService,
} from '../support/compose-file.ts'
import { PRODUCT_FOLDERS, ROOT, sourceFiles } from '../support/source-tree.ts'

const { services, volumes, variables } = readComposeFile()
const PROCESSES = ['ingress', 'dispatcher', 'archiver', 'api']
const CONFIG_FILE = 'infra/hooktrail.compose.yaml'

function service(name: string): ComposeService {
  const found = services.get(name)
  assert.ok(found, `${name} is a service`)
  return found
}

function configuration(): Settings {
  const readFile = (path: string): string => {
    throw new Error(`${path} is not there`)
  }
  const text = projectFile(CONFIG_FILE)
  const result = readConfig({ text, file: CONFIG_FILE, overlay: null }, { env: exampleEnv(), readFile })
  assert.ok(result.ok, JSON.stringify(result))
  return result.config
}

/** Services of which `rule` does not hold. */
function except(rule: (service: ComposeService, name: string) => boolean): readonly string[] {
  return [...services].filter(([name, each]) => !rule(each, name)).map(([name]) => name)
}

test('every image has an exact tag, and ours is the version of the package', () => {
  const { version } = JSON.parse(projectFile('package.json')) as { version: string }
  // Releases of Postgres have two numbers, those of MinIO a time.
  const exact = /^(?:[\w/-]+:v?\d+\.\d+\.\d+(?:-\w+)?|postgres:\d+\.\d+-\w+|minio\/minio:RELEASE\.[\dTZ-]+)$/
  assert.deepEqual(
    except(({ image }) => exact.test(image)),
    [],
  )
  assert.deepEqual(
    except(({ image, build }) => (build === undefined) !== (image === `hooktrail:${version}`)),
    [],
  )
})

test('every service is without root, capabilities and a file system to write to, or its comment says why', () => {
  const confined = ({ cap_drop, security_opt }: ComposeService): boolean =>
    String(cap_drop) === 'ALL' && String(security_opt) === 'no-new-privileges:true'
  assert.deepEqual(except(confined), [])
  assert.deepEqual(
    except(({ read_only }) => read_only === true),
    ['redpanda'],
  )
  assert.deepEqual(
    except(({ user }) => user !== undefined && !/^(?:0|root)(?::|$)/.test(user)),
    ['own-minio-volume'],
  )
})

test('every service has limits for processors, memory and processes', () => {
  const limited = ({ deploy }: ComposeService): boolean =>
    ['cpus', 'memory', 'pids'].every((name) => deploy?.resources.limits[name] !== undefined)
  assert.deepEqual(except(limited), [])
})

test('every service that stays up has a health check and comes back; what runs once is waited for', () => {
  const awaited = new Set(
    [...services.values()].flatMap(({ depends_on = {} }) =>
      Object.entries(depends_on).flatMap(([name, { condition }]) =>
        condition === 'service_completed_successfully' ? name : [],
      ),
    ),
  )
  assert.deepEqual([...awaited].sort(), ['make-bucket', 'own-minio-volume'])
  assert.deepEqual(
    except(({ restart, healthcheck }, name) =>
      awaited.has(name)
        ? restart === 'no' && healthcheck === undefined
        : restart === 'unless-stopped' && healthcheck !== undefined,
    ),
    [],
  )
  const waits = [...services.values()].flatMap(({ depends_on = {} }) => Object.entries(depends_on))
  for (const [name, { condition }] of waits) {
    assert.ok(services.has(name), name)
    assert.equal(condition === 'service_healthy', service(name).healthcheck !== undefined, name)
  }
})

test('nothing is reachable from outside, and what is mounted exists', () => {
  const published = [...services.values()].flatMap(({ ports = [] }) => ports)
  assert.deepEqual(
    published.filter((port) => !port.startsWith('127.0.0.1:')),
    [],
  )
  const sources = [...services.values()].flatMap(({ volumes: mounts = [] }) =>
    mounts.map((mount) => mount.slice(0, mount.indexOf(':'))),
  )
  const [folders, named] = [
    sources.filter((name) => name.startsWith('.')),
    sources.filter((name) => !name.startsWith('.')),
  ]
  assert.deepEqual(
    folders.filter((path) => !existsSync(join(ROOT, path))),
    [],
  )
  assert.deepEqual([...new Set(named)].sort(), [...volumes].sort())
})

test('each process gets exactly the variables of its configuration, and settings that hooktrail reads', () => {
  const code = sourceFiles(PRODUCT_FOLDERS)
    .map(({ text }) => text)
    .join('\n')
  for (const name of PROCESSES) {
    const { command = [], volumes: mounts = [] } = service(name)
    assert.ok(mounts.includes(`./${CONFIG_FILE}:/etc/hooktrail/hooktrail.yaml:ro`), name)
    const environment = environmentOf(service(name))
    const handedOn = [...environment].flatMap(([each, value]) => (value === null ? each : []))
    const own = [...environment.keys()].filter((each) => !handedOn.includes(each))
    assert.deepEqual(
      own.filter((each) => !code.includes(`env['${each}']`)),
      [],
    )
    assert.deepEqual(handedOn.sort(), [...variablesIn(projectFile(CONFIG_FILE))].sort(), name)
    assert.deepEqual(command, [name])
  }
  assert.match(projectFile('infra/Dockerfile'), /^WORKDIR \/etc\/hooktrail$/m)
})

test('.env.example has exactly the variables that are used, and no secret that is one', () => {
  assert.deepEqual(Object.keys(exampleEnv()).sort(), [...variables].sort())
  for (const [name, value] of Object.entries(exampleEnv()))
    if (/_(?:TOKEN|PASSWORD|SECRET|SECRET_KEY)$|^DIGEST_KEY$/.test(name))
      assert.match(value, /^change-me-/, name)
})

test('the configuration names services and the bucket that is made', () => {
  const { log, database, queue, archive, api, worker } = configuration()
  assert.ok(log.kafka && queue.redis && archive.s3 && database.url && api.listen)
  const places = [...log.kafka.brokers.map((broker) => `kafka://${broker}`), database.url, queue.redis.url]
  for (const place of [...places, String(archive.s3.endpoint)]) service(new URL(place).hostname)
  const policy = projectFile('infra/minio/archive-writer.json')
  assert.ok(policy.includes(`arn:aws:s3:::${archive.s3.bucket}/*`))
  assert.ok(projectFile('infra/minio/make-bucket.sh').includes(`--with-lock store/${archive.s3.bucket}\n`))
  const [, port] = api.listen.split(':')
  for (const name of PROCESSES) {
    const { healthcheck, stop_grace_period: grace = '' } = service(name)
    assert.ok(healthcheck?.test.join(' ').includes(`:${String(port)}/health/ready`))
    assert.ok(parseInt(grace) * 1000 > worker.drainTimeoutMs, `${name} may drain`)
  }
})
