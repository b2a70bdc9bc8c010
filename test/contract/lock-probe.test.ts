/** The probe of the deletion lock on real stores: what each of them does, and what a credential's missing rights look like. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { CreateBucketCommand } from '@aws-sdk/client-s3'
import { openLockProbe } from '../../adapters/s3/lock-probe.ts'
import { PROBE_CHECKS, resultOf } from '../../core/archive/worm.ts'
import type { ProbeReport } from '../../core/ports/archive-store.ts'
import { openS3Stage, type S3Stage } from '../support/s3-stage.ts'
import { s3Client, startOrReason, type S3Service } from '../support/services/s3-service.ts'
import { startSeaweedfs } from '../support/services/seaweedfs.ts'
import { startVersitygw } from '../support/services/versitygw.ts'

const STORES = { versitygw: startVersitygw, SeaweedFS: startSeaweedfs }

for (const [name, start] of Object.entries(STORES)) {
  const service = await startOrReason(start)
  if (typeof service === 'string') test(`the probe on ${name}`, { skip: service })
  else testProbe(name, service)
}

function testProbe(name: string, service: S3Service): void {
  let stage: S3Stage
  const opened = new AsyncDisposableStack()

  before(async () => {
    stage = opened.use(await openS3Stage(opened.use(service)))
  })
  after(() => opened.disposeAsync())

  for (const mode of ['governance', 'compliance'] as const)
    test(`every check passes on ${name} in ${mode} mode`, async (t) => {
      const report = await run(stage, mode)
      for (const check of PROBE_CHECKS)
        t.diagnostic(`${check}: ${report.checks[check].verdict}: ${report.checks[check].told}`)
      assert.equal(resultOf(verdictsOf(report)), 'pass', JSON.stringify(report, null, 1))
    })

  test(`a bucket without Object Lock fails on ${name}, by the checks that tell of it`, async () => {
    const client = s3Client(service.endpoint, service)
    const bucket = 'without-lock'
    await client.send(new CreateBucketCommand({ Bucket: bucket }))
    client.destroy()
    const report = await run(stage, 'governance', { bucket })
    assert.equal(report.checks['lock-stated'].verdict, 'fail', JSON.stringify(report, null, 1))
    assert.equal(resultOf(verdictsOf(report)), 'fail')
  })
}

async function run(
  stage: S3Stage,
  mode: 'governance' | 'compliance',
  changed: { bucket?: string } = {},
): Promise<ProbeReport> {
  await using probe = openLockProbe(stage.optionsOf(changed), null)
  return await probe.run(mode)
}

function verdictsOf({ checks }: ProbeReport) {
  return Object.fromEntries(PROBE_CHECKS.map((check) => [check, checks[check].verdict]))
}
