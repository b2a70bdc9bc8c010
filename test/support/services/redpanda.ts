/**
 * Redpanda for tests: one broker in a container, the image of docker-compose.yml. It has the open listener alone;
 * tests that need passwords, TLS or a broker that they kill use Kafka as a local process (kafka.ts).
 */
import { startContainer } from './docker.ts'

export interface Redpanda extends AsyncDisposable {
  readonly brokers: readonly string[]
}

export async function startRedpanda(): Promise<Redpanda> {
  const container = await startContainer({
    service: 'redpanda',
    command: ({ host, port }) => [
      ...['redpanda', 'start', '--node-id=0', '--smp=1', '--memory=1G', '--reserve-memory=0M'],
      ...['--overprovisioned', '--check=false', '--default-log-level=warn'],
      ...[`--kafka-addr=0.0.0.0:${port}`, `--advertise-kafka-addr=${host}:${port}`],
      ...['--rpc-addr=127.0.0.1:33145', '--advertise-rpc-addr=127.0.0.1:33145'],
    ],
    ready: "rpk cluster health | grep -Eq 'Healthy:.+true'",
  })
  const { host, port } = container.address
  return {
    brokers: [`${host}:${port}`],
    [Symbol.asyncDispose]: () => container[Symbol.asyncDispose](),
  }
}
