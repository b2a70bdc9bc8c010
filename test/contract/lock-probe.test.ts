/** The probe of the deletion lock on real stores: what each of them does, and what a credential's missing rights look like. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { CreateBucketCommand, PutBucketPolicyCommand } from '@aws-sdk/client-s3'
import { openLockProbe } from '../../adapters/s3/lock-probe.ts'
import { Upkeep } from '../../archiver/upkeep.ts'
import type { WormDeps } from '../../archiver/protecting.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import { openStage } from '../support/archiver-stage.ts'
import { PROBE_CHECKS, resultOf } from '../../core/archive/worm.ts'
import type { ProbeReport } from '../../core/ports/archive-store.ts'
import { openS3Stage, type S3Stage } from '../support/s3-stage.ts'
import { orSkip } from '../support/services/local-process.ts'
import { s3Client, startOrReason, type S3Service } from '../support/services/s3-service.ts'
import { startSeaweedfs } from '../support/services/seaweedfs.ts'
import { startVersitygw } from '../support/services/versitygw.ts'

const TERMS: WormDeps['terms'] = { fallback: { mode: 'governance', periodMs: 86_400_000 }, topics: new Map() }
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

/** Of a user of versitygw: everything that an archiver needs, and no delete. */
const WRITER_ACTIONS = [
  ...['PutObject', 'GetObject', 'GetObjectVersion', 'ListBucket', 'ListBucketVersions'],
  ...['PutObjectRetention', 'GetObjectRetention', 'PutObjectLegalHold', 'GetObjectLegalHold'],
]

test('credentials without the right to delete prove nothing, and required refuses to start with what is missing', async (t) => {
  const service = await orSkip(t, startOrReason(startVersitygw))
  if (service === null) return
  await using stage = await openS3Stage(service)
  const { bucket, client } = stage
  const statement = {
    ...{ Effect: 'Allow', Principal: { AWS: [service.reader.accessKey] } },
    Action: WRITER_ACTIONS.map((action) => `s3:${action}`),
    Resource: [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`],
  }
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] })
  await client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }))
  const options = { ...stage.optionsOf(), credentials: service.reader }
  await using probe = openLockProbe(options, null)
  const report = await probe.run('governance')
  const unproven = PROBE_CHECKS.filter((check) => report.checks[check].verdict !== 'pass')
  assert.deepEqual(unproven, ['control', 'delete-locked', 'hold'], JSON.stringify(report, null, 1))
  assert.equal(resultOf(verdictsOf(report)), 'unproven')

  await using archive = await openStage(stage.open({ prefix: options.prefix, credentials: service.reader }))
  const worm = (mode: WormDeps['mode']): { readonly worm: WormDeps } => ({
    worm: { mode, terms: TERMS, store: stage.open({ prefix: options.prefix }), probe },
  })
  await assert.rejects(archive.seat('a', { deps: worm('required') }), (error) => {
    assert.ok(isHooktrailError(error, 'ARCHIVE_WORM_NOT_IN_FORCE'))
    assert.match(String(error.details['control']), /^unproven: AccessDenied/)
    assert.match(String(error.details['to_do']), /allow s3:DeleteObjectVersion on <bucket>\/<prefix>\/probe/)
    return true
  })
  assert.equal((await Array.fromAsync(archive.store.list(''))).length, 0, 'nothing was written')

  const seat = await archive.seat('a', { deps: worm('preferred') })
  assert.equal(await seat.heartbeats.step([]), 'signed')
  const judged = await archive.verify()
  assert.equal(judged.exitCode, 4, JSON.stringify(judged.findings))

  // Once a day it is probed anew: a lock that cannot be shown any more is signed, and archiving goes on.
  await using admin = openLockProbe(stage.optionsOf({ prefix: options.prefix }), null)
  const probes = [admin, probe]
  const changing = { run: (mode: 'governance' | 'compliance') => (probes.shift() ?? probe).run(mode) }
  const later = await archive.seat('b', { deps: { worm: { ...worm('required').worm, probe: changing } } })
  const upkeep = new Upkeep(later.context)
  await upkeep.step()
  assert.equal(later.context.protection.probed?.result.result, 'pass')
  later.clock.advance(86_400_000)
  await upkeep.step()
  assert.equal(later.context.protection.probed.result.result, 'unproven')
  await service[Symbol.asyncDispose]()
})

test('separate credentials that may delete below probe/ prove the lock for an archiver that may not', async (t) => {
  const service = await orSkip(t, startOrReason(startVersitygw))
  if (service === null) return
  await using stage = await openS3Stage(service)
  await using probe = openLockProbe({ ...stage.optionsOf(), credentials: service.reader }, service)
  assert.equal(resultOf(verdictsOf(await probe.run('governance'))), 'pass')
  await service[Symbol.asyncDispose]()
})

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
