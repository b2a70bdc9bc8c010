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
import { inDocker } from './docker.ts'
import {
  freePorts,
  provisioned,
  ServiceUnavailableError,
  startLocalProcess,
  type LocalProcess,
} from './local-process.ts'
import { startRedpanda } from './redpanda.ts'

const KAFKA_VERSION = '4.4.0'
const READY_MS_MAX = 60_000
const HEAP = ['-Xms128m', '-Xmx512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=4']

const run = promisify(execFile)

export interface TestKafka extends AsyncDisposable {
  readonly brokers: readonly string[]
}

export interface LocalKafka extends AsyncDisposable {
  /** All that it keeps. */
  readonly folder: string
  readonly brokers: readonly string[]
  /** The listener that asks for `saslUser`; the other one is open. */
  readonly saslBrokers: readonly string[]
  /** The listener that speaks TLS, by the name `localhost`. */
  readonly tlsBrokers: readonly string[]
  kill(signal: NodeJS.Signals): Promise<void>
  /** After a kill that ended it: the same folder and ports. Resolves when it answers. */
  restart(): Promise<void>
}

export interface LocalKafkaOptions {
  /** A user that PLAIN and SCRAM know; with it comes a second listener, which takes unsigned bearer tokens, too. */
  readonly saslUser?: { readonly username: string; readonly password: string }
  /** PEM, for a third listener; where the brokers' clients must show a certificate, this one is its authority. */
  readonly tls?: { readonly key: string; readonly certificate: string; readonly asksForClients: boolean }
  /** Lines appended to server.properties. */
  readonly properties?: readonly string[]
}

/**
 * Comma-separated `host:port` in HOOKTRAIL_TEST_KAFKA, else Redpanda in Docker, else Kafka as a local process. For tests
 * that leave the broker alone; those that kill it, or need its other listeners, use startLocalKafka.
 */
export async function openTestKafka(options: LocalKafkaOptions = {}): Promise<TestKafka> {
  const given = process.env['HOOKTRAIL_TEST_KAFKA'] ?? ''
  if (given !== '') return { brokers: given.split(','), [Symbol.asyncDispose]: () => Promise.resolve() }
  return (await inDocker('Redpanda', startRedpanda)) ?? startLocalKafka(options)
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
  await using undo = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'hooktrail-kafka-'))
  undo.defer(() => rm(folder, { recursive: true, force: true }))
  const [port = 0, saslPort = 0, tlsPort = 0, controllerPort = 0] = await freePorts(4)
  const ports = { port, saslPort, tlsPort, controllerPort }
  const broker: Broker = { folder, classPath: join(jars, 'libs', '*'), ...ports, options }
  await writeSettings(broker)
  await format(broker)
  let started = await startBroker(broker)
  undo.defer(() => started.kill('SIGKILL'))
  const resources = undo.move()
  return {
    folder,
    brokers: [`127.0.0.1:${port}`],
    saslBrokers: [`127.0.0.1:${saslPort}`],
    tlsBrokers: [`localhost:${tlsPort}`],
    kill: (signal) => started.kill(signal),
    restart: async () => {
      started = await startBroker(broker)
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

interface Broker {
  readonly folder: string
  readonly classPath: string
  readonly port: number
  readonly saslPort: number
  readonly tlsPort: number
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
  const { folder, port, saslPort, tlsPort, controllerPort, options } = broker
  const sasl = options.saslUser === undefined ? '' : `,SASL://127.0.0.1:${saslPort}`
  const tls = options.tls === undefined ? '' : `,TLS://localhost:${tlsPort}`
  const lines = [
    'process.roles=broker,controller',
    'node.id=1',
    `controller.quorum.voters=1@127.0.0.1:${controllerPort}`,
    `listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}${sasl}${tls}`,
    `advertised.listeners=PLAINTEXT://127.0.0.1:${port}${sasl}${tls}`,
    'controller.listener.names=CONTROLLER',
    'inter.broker.listener.name=PLAINTEXT',
    'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL',
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
    ...(await tlsLines(folder, options.tls)),
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
  const bearer = 'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required'
  const listener = 'listener.name.sasl'
  return [
    `${listener}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER`,
    `${listener}.plain.sasl.jaas.config=${plain} user_${user.username}="${user.password}";`,
    `${listener}.scram-sha-256.sasl.jaas.config=${scram}`,
    `${listener}.scram-sha-512.sasl.jaas.config=${scram}`,
    `${listener}.oauthbearer.sasl.jaas.config=${bearer} unsecuredLoginStringClaim_sub="broker";`,
  ]
}

async function tlsLines(folder: string, tls: LocalKafkaOptions['tls']): Promise<readonly string[]> {
  if (tls === undefined) return []
  const [keys, authorities] = [join(folder, 'keys.pem'), join(folder, 'authorities.pem')]
  await writeFile(keys, tls.key + tls.certificate)
  await writeFile(authorities, tls.certificate)
  return [
    ...['listener.name.tls.ssl.keystore.type=PEM', `listener.name.tls.ssl.keystore.location=${keys}`],
    ...[
      'listener.name.tls.ssl.truststore.type=PEM',
      `listener.name.tls.ssl.truststore.location=${authorities}`,
    ],
    `listener.name.tls.ssl.client.auth=${tls.asksForClients ? 'required' : 'none'}`,
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
