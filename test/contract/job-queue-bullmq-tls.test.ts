/** The queue on a Redis that speaks TLS only with whom it knows: its own authority, and a client's certificate. */
import assert from 'node:assert/strict'
import { createBullmqJobQueue, type BullmqJobQueueOptions } from '../../adapters/bullmq/job-queue.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import type { HintQueue } from '../../core/ports/job-queue.ts'
import { createJobStage } from '../support/job-stage.ts'
import { silentLogger } from '../support/postgres.ts'
import { freePorts } from '../support/services/local-process.ts'
import { startRedis, testOnRedis } from '../support/services/redis.ts'
import { createCertificateFiles } from '../support/services/self-signed.ts'
import { hintsOf, planJobs, takeSome } from './job-queue.ts'

interface TlsRedis extends AsyncDisposable {
  readonly port: number
  readonly pem: string
  readonly key: string
}

/** One self-signed certificate serves as authority, server and client. */
async function startTlsRedis(): Promise<TlsRedis> {
  await using opened = new AsyncDisposableStack()
  const { certificate, key, certFile, keyFile } = opened.use(await createCertificateFiles())
  const [port = 0] = await freePorts(1)
  const files = ['--tls-cert-file', certFile, '--tls-key-file', keyFile, '--tls-ca-cert-file', certFile]
  opened.use(await startRedis({ args: ['--tls-port', String(port), ...files] }))
  const kept = opened.move()
  return { port, pem: certificate, key, [Symbol.asyncDispose]: () => kept.disposeAsync() }
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
