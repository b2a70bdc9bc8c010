/**
 * The independent verifier on a bucket, with nothing but a read-only key and Python's own library: it says what the
 * product says of the same objects, versions and markers among them.
 */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { verifyArchive } from '../../core/archive/verify/verify-archive.ts'
import { NEVER } from '../../core/deadline.ts'
import { openS3Stage } from '../support/s3-stage.ts'
import { orSkip } from '../support/services/local-process.ts'
import { pythonOrReason } from '../support/services/python.ts'
import { REGION, startOrReason } from '../support/services/s3-service.ts'
import { startVersitygw } from '../support/services/versitygw.ts'
import { SmallArchive } from '../support/small-archive.ts'
import { runVerifier } from '../support/python-verifier.ts'
import { judgementOf, parseReport } from '../support/two-verifiers.ts'

test('both verifiers say the same of a bucket: whole, and with what only a bucket can hold', async (t) => {
  const python = await orSkip(t, pythonOrReason())
  const service = await orSkip(t, startOrReason(startVersitygw))
  if (python === null || service === null) return
  await using opened = new AsyncDisposableStack()
  const stage = opened.use(await openS3Stage(opened.use(service)))
  const archive = opened.use(await SmallArchive.make())
  const store = stage.open()
  for await (const { key, size } of archive.builder.store.list('')) {
    const Body = (await archive.builder.store.read(key, size)) ?? ''
    await stage.client.send(new PutObjectCommand({ ...stage.at(store, key), Body }))
  }
  const keyFile = path.join(archive.base, 'archive.pub')
  const checkpointFile = path.join(archive.base, 'kept.json')
  await writeFile(keyFile, `${archive.builder.signer.vkey}\n`)
  const { nowMs, keys } = archive.builder
  const now = new Date(nowMs).toISOString()
  const { accessKey, secretKey } = service.reader
  const env = {
    ...{ AWS_ACCESS_KEY_ID: accessKey, AWS_SECRET_ACCESS_KEY: secretKey },
    ...{ AWS_REGION: REGION, AWS_ENDPOINT_URL_S3: service.endpoint },
  }
  const verifyBoth = async (exitCode: number, ...more: readonly string[]): Promise<readonly string[]> => {
    const given = [store.location, '--json', '--key', keyFile, '--now', now, ...more]
    const { status, stdout, stderr } = await runVerifier(python, given, env)
    assert.equal(status, exitCode, stderr + stdout)
    const theirs = judgementOf(parseReport(stdout))
    if (more.length === 0) {
      const ours = judgementOf(await verifyArchive({ store, keys, nowMs, level: 2, signal: NEVER }))
      assert.deepEqual(theirs, ours)
    }
    return theirs.findings
  }

  assert.deepEqual(await verifyBoth(0), [])
  await verifyBoth(0, '--write-checkpoint', checkpointFile)
  const rested = await verifyBoth(0, '--checkpoint', checkpointFile, '--incremental')
  assert.deepEqual(rested, ['note checkpoint'])

  const { data, manifest } = archive.segment(1)
  const marked = archive.segment(0).data
  await stage.client.send(new DeleteObjectCommand(stage.at(store, marked)))
  const Body = await readFile(path.join(archive.folder, manifest))
  await stage.client.send(new PutObjectCommand({ ...stage.at(store, manifest), Body }))
  await stage.client.send(new PutObjectCommand({ ...stage.at(store, data), Body: 'other' }))
  await stage.client.send(new PutObjectCommand({ ...stage.at(store, 'odd name+ü.txt'), Body: 'x' }))
  const findings = await verifyBoth(1)
  for (const key of [data, manifest, marked, 'odd name+ü.txt'])
    assert(findings.includes(`altered ${key}`), `${key} is not among ${findings.join(', ')}`)

  const denied = { ...env, AWS_SECRET_ACCESS_KEY: 'another' }
  const { status } = await runVerifier(python, [store.location, '--key', keyFile], denied)
  assert.equal(status, 66)
})
