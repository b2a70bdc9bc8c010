/** The queue on a Redis that speaks TLS only with whom it knows: its own authority, and a client's certificate. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createBullmqJobQueue, type BullmqJobQueueOptions } from '../../adapters/bullmq/job-queue.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import type { HintQueue } from '../../core/ports/job-queue.ts'
import { createJobStage } from '../support/job-stage.ts'
import { silentLogger } from '../support/postgres.ts'
import { freePorts, ServiceUnavailableError } from '../support/services/local-process.ts'
import { startRedis, testOnRedis } from '../support/services/redis.ts'
import { hintsOf, planJobs, takeSome } from './job-queue.ts'

interface TlsRedis extends AsyncDisposable {
  readonly port: number
  readonly pem: Buffer
  readonly key: Buffer
}

/** One self-signed certificate serves as authority, server and client. */
async function startTlsRedis(): Promise<TlsRedis> {
  const folder = await mkdtemp(join(tmpdir(), 'hooktrail-tls-'))
  const [pem, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  try {
    execFileSync(
      'openssl',
      [
        ...[
          'req',
          '-x509',
          '-newkey',
          'ec',
          '-pkeyopt',
          'ec_paramgen_curve:prime256v1',
          '-nodes',
          '-days',
          '1',
        ],
        ...['-subj', '/CN=hooktrail-test', '-addext', 'subjectAltName=IP:127.0.0.1'],
        ...['-keyout', key, '-out', pem],
      ],
      { stdio: 'ignore' },
    )
  } catch (error) {
    throw new ServiceUnavailableError('openssl is not installed', { cause: error })
  }
  const [port = 0] = await freePorts(1)
  const files = ['--tls-cert-file', pem, '--tls-key-file', key, '--tls-ca-cert-file', pem]
  const redis = await startRedis({ args: ['--tls-port', String(port), ...files] })
  return {
    port,
    pem: await readFile(pem),
    key: await readFile(key),
    [Symbol.asyncDispose]: async () => {
      await redis[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
}

testOnRedis(
  'hints travel through TLS with a private authority and a client certificate',
  startTlsRedis,
  async (redis) => {
    await using stage = await createJobStage({ queued: true })
    const open = (tls: BullmqJobQueueOptions['tls']): Promise<HintQueue & AsyncDisposable> =>
      createBullmqJobQueue(stage.store, {
        url: `rediss://127.0.0.1:${redis.port}`,
        prefix: 'test',
        tls,
        concurrency: new Map(),
        clock: systemClock,
        logger: silentLogger,
      })
    await using stranger = await open({ ca: redis.pem })
    await assert.rejects(stranger.offer('billing', hintsOf(0, 1)))
    await using queue = await open({ ca: redis.pem, cert: redis.pem, key: redis.key })
    await planJobs(stage.store, 0, 1)
    await queue.offer('billing', hintsOf(0, 1))
    assert.equal((await takeSome(queue)).length, 1)
  },
)
