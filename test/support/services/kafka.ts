/**
 * A real Apache Kafka for tests: one KRaft broker on loopback from Maven jars, without Docker. It is killed, stopped and
 * started again on the same folder and ports, so that crash tests find the same log. Needs java and mvn; where they
 * are missing, ServiceUnavailableError says so and the tests are skipped.
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import {
  freePorts,
  provisioned,
  ServiceUnavailableError,
  startLocalProcess,
  type LocalProcess,
} from './local-process.ts'

const KAFKA_VERSION = '4.4.0'
const READY_MS_MAX = 60_000
const HEAP = ['-Xms128m', '-Xmx512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=4']

const run = promisify(execFile)

export interface TestKafka extends AsyncDisposable {
  readonly brokers: readonly string[]
  /** Null where the tests run against a Kafka that HOOKTRAIL_TEST_KAFKA names: nobody may kill that. */
  readonly local: LocalKafka | null
}

export interface LocalKafka extends AsyncDisposable {
  readonly brokers: readonly string[]
  /** The listener that asks for `saslUser`; the other one is open. */
  readonly saslBrokers: readonly string[]
  kill(signal: NodeJS.Signals): Promise<void>
  /** After a kill that ended it: the same folder and ports. Resolves when it answers. */
  restart(): Promise<void>
}

export interface LocalKafkaOptions {
  /** A user that PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 know; with it comes a second listener. */
  readonly saslUser?: { readonly username: string; readonly password: string }
  /** Lines appended to server.properties. */
  readonly properties?: readonly string[]
}

/** Comma-separated `host:port` in HOOKTRAIL_TEST_KAFKA, else a broker of its own for the caller. */
export async function openTestKafka(options: LocalKafkaOptions = {}): Promise<TestKafka> {
  const given = process.env['HOOKTRAIL_TEST_KAFKA'] ?? ''
  if (given !== '')
    return { brokers: given.split(','), local: null, [Symbol.asyncDispose]: () => Promise.resolve() }
  const local = await startLocalKafka(options)
  return { brokers: local.brokers, local, [Symbol.asyncDispose]: () => local[Symbol.asyncDispose]() }
}

/** What `openTestKafka` gives, or why it cannot: for `{ skip }` of a test file. */
export async function kafkaOrReason(options: LocalKafkaOptions = {}): Promise<TestKafka | string> {
  try {
    return await openTestKafka(options)
  } catch (error) {
    if (!(error instanceof ServiceUnavailableError)) throw error
    process.stderr.write(`NOT RUN: the tests on Kafka, because ${error.message}\n`)
    return error.message
  }
}

export async function startLocalKafka(options: LocalKafkaOptions = {}): Promise<LocalKafka> {
  const jars = await provisioned(`kafka-${KAFKA_VERSION}`, fetchJars)
  const folder = await mkdtemp(join(tmpdir(), 'hooktrail-kafka-'))
  const [port = 0, saslPort = 0, controllerPort = 0] = await freePorts(3)
  const broker: Broker = {
    folder,
    classPath: join(jars, 'libs', '*'),
    port,
    saslPort,
    controllerPort,
    options,
  }
  await writeSettings(broker)
  await format(broker)
  let started = await startBroker(broker)
  return {
    brokers: [`127.0.0.1:${port}`],
    saslBrokers: [`127.0.0.1:${saslPort}`],
    kill: (signal) => started.kill(signal),
    restart: async () => {
      started = await startBroker(broker)
    },
    [Symbol.asyncDispose]: async () => {
      await started.kill('SIGKILL')
      await rm(folder, { recursive: true, force: true })
    },
  }
}

interface Broker {
  readonly folder: string
  readonly classPath: string
  readonly port: number
  readonly saslPort: number
  readonly controllerPort: number
  readonly options: LocalKafkaOptions
}

async function fetchJars(folder: string): Promise<void> {
  const dependency = (group: string, artifact: string, version: string): string =>
    `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`
  await writeFile(
    join(folder, 'pom.xml'),
    `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>local</groupId><artifactId>kafka-jars</artifactId><version>1</version><dependencies>
${dependency('org.apache.kafka', 'kafka_2.13', KAFKA_VERSION)}
${dependency('org.apache.logging.log4j', 'log4j-slf4j-impl', '2.25.5')}
</dependencies></project>`,
  )
  const copy = ['dependency:copy-dependencies', '-DincludeScope=runtime', '-DoutputDirectory=libs']
  await tool('mvn', ['-B', '-q', ...copy], folder)
}

/** Small internal topics and a short session: a restarted broker registers at once instead of after 9 s. */
async function writeSettings(broker: Broker): Promise<void> {
  const { folder, port, saslPort, controllerPort, options } = broker
  const sasl = options.saslUser === undefined ? '' : `,SASL://127.0.0.1:${saslPort}`
  const lines = [
    'process.roles=broker,controller',
    'node.id=1',
    `controller.quorum.voters=1@127.0.0.1:${controllerPort}`,
    `listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}${sasl}`,
    `advertised.listeners=PLAINTEXT://127.0.0.1:${port}${sasl}`,
    'controller.listener.names=CONTROLLER',
    'inter.broker.listener.name=PLAINTEXT',
    'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT',
    `log.dirs=${join(folder, 'kafka')}`,
    'auto.create.topics.enable=false',
    'num.network.threads=2',
    'num.io.threads=4',
    ...['offsets.topic', 'transaction.state.log', 'share.coordinator.state.topic'].flatMap((topic) => [
      `${topic}.num.partitions=4`,
      `${topic}.replication.factor=1`,
    ]),
    'transaction.state.log.min.isr=1',
    'share.coordinator.state.topic.min.isr=1',
    'group.initial.rebalance.delay.ms=0',
    'controlled.shutdown.enable=false',
    'broker.session.timeout.ms=1500',
    'broker.heartbeat.interval.ms=300',
    ...saslLines(options.saslUser),
    ...(options.properties ?? []),
  ]
  await mkdir(join(folder, 'kafka'))
  await writeFile(join(folder, 'server.properties'), `${lines.join('\n')}\n`)
  await writeFile(
    join(folder, 'log4j2.properties'),
    `appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %p %c{1} %m%n
rootLogger.level=WARN
rootLogger.appenderRef.out.ref=out
`,
  )
}

function saslLines(user: LocalKafkaOptions['saslUser']): readonly string[] {
  if (user === undefined) return []
  const plain = 'org.apache.kafka.common.security.plain.PlainLoginModule required'
  const scram = 'org.apache.kafka.common.security.scram.ScramLoginModule required;'
  const listener = 'listener.name.sasl'
  return [
    `${listener}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512`,
    `${listener}.plain.sasl.jaas.config=${plain} user_${user.username}="${user.password}";`,
    `${listener}.scram-sha-256.sasl.jaas.config=${scram}`,
    `${listener}.scram-sha-512.sasl.jaas.config=${scram}`,
  ]
}

/** A fixed cluster id: formatting twice is then a no-op instead of a mismatch. */
async function format({ folder, classPath, options: { saslUser } }: Broker): Promise<void> {
  const user = saslUser && `[name=${saslUser.username},password=${saslUser.password}]`
  const scram = ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) =>
    user === undefined ? [] : ['--add-scram', `${mechanism}=${user}`],
  )
  const cluster = ['-t', 'AAAAAAAAAAAAAAAAAAAAAQ', '-c', join(folder, 'server.properties')]
  const jvm = ['-Xmx128m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-cp', classPath]
  const storage = ['kafka.tools.StorageTool', 'format', '--ignore-formatted', ...cluster, ...scram]
  await tool('java', [...jvm, ...storage], folder)
}

/** The listener accepts only once the broker has registered and been unfenced. */
function startBroker({ folder, classPath, port }: Broker): Promise<LocalProcess> {
  return startLocalProcess({
    command: 'java',
    args: [
      ...HEAP,
      '-Djava.awt.headless=true',
      `-Dlog4j2.configurationFile=${join(folder, 'log4j2.properties')}`,
      ...['-cp', classPath, 'kafka.Kafka', join(folder, 'server.properties')],
    ],
    cwd: folder,
    logFile: join(folder, 'log'),
    isReady: () => accepts(port),
    readyMsMax: READY_MS_MAX,
  })
}

async function accepts(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const socket = connect({ host: '127.0.0.1', port })
  socket.once('connect', () => {
    resolve(true)
  })
  socket.once('error', () => {
    resolve(false)
  })
  const accepted = await promise
  socket.destroy()
  return accepted
}

async function tool(command: string, args: readonly string[], cwd: string): Promise<void> {
  try {
    await run(command, [...args], { cwd })
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
      throw new ServiceUnavailableError(`${command} is not installed`)
    throw error
  }
}
