/**
 * Anchors: a real time-stamp authority (`openssl ts`), a folder and a webhook see the checkpoint about once an hour; both
 * verifiers and `openssl ts -verify` judge what they gave; one that is down only delays.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { openDirectoryStore } from '../../adapters/directory/directory-store.ts'
import { checkpointWebhook } from '../../adapters/http/checkpoint-webhook.ts'
import { timestampAuthority } from '../../adapters/http/timestamp-authority.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import { AnchorWriter } from '../../archiver/anchor-writer.ts'
import { HeartbeatWriter } from '../../archiver/heartbeat-writer.ts'
import { anchorKey } from '../../core/archive/anchor/anchor-keys.ts'
import { storeTarget } from '../../core/archive/anchor/store-target.ts'
import { parseCertificates } from '../../core/archive/anchor/timestamp.ts'
import { openCheckpoint } from '../../core/archive/tree/tree-checkpoint.ts'
import { parseHeartbeat } from '../../core/archive/documents.ts'
import { heartbeatKey } from '../../core/archive/keys.ts'
import { placesOf } from '../../core/archive/proof/event-place.ts'
import { makeProof } from '../../core/archive/proof/make-proof.ts'
import { readNoteUnverified } from '../../core/archive/signed-note.ts'
import { archiveAll, openStage, partitionOf } from '../support/archiver-stage.ts'
import { HandClock } from '../support/hand-clock.ts'
import { silentLogger } from '../support/postgres.ts'
import { orSkip } from '../support/services/local-process.ts'
import { pythonOrReason } from '../support/services/python.ts'
import { startAuthority } from '../support/services/timestamp-authority.ts'
import { change, flipped, put } from '../support/tampering.ts'
import { judge } from '../support/two-verifiers.ts'

const HOUR_MS = 3_600_000
const { signal } = new AbortController()

test('a checkpoint is stamped and pushed once an hour, and whoever verifies sees by whom and when', async (t) => {
  await using stage = await openStage()
  await using authority = await startAuthority()
  const pushed: string[] = []
  const webhook = createServer((request, response) => {
    void text(request).then((body) => {
      pushed.push(body)
      response.end()
    })
  })
  webhook.listen(0, '127.0.0.1')
  await new Promise((resolve) => webhook.once('listening', resolve))
  const address = webhook.address()
  assert(typeof address === 'object' && address !== null)
  const folder = path.join(stage.folder, 'kept')
  const anchors = [
    timestampAuthority({ url: authority.url, certificates: parseCertificates(authority.ca) }),
    checkpointWebhook(`http://127.0.0.1:${String(address.port)}/secret`),
    storeTarget(folder, () => openDirectoryStore(folder, { clock: systemClock, logger: silentLogger })),
  ]
  const clock = new HandClock(Date.now() - 2 * HOUR_MS)
  const seat = await stage.seat('a', { clock, deps: { anchors } })
  const topic = await stage.topic('hooktrail.events.demo')
  const at = partitionOf(topic)
  const writer = new AnchorWriter(seat.context, seat.chain)
  const heartbeats = new HeartbeatWriter(seat.context, seat.chain, { anchors: writer })
  const beat = async (): Promise<void> => {
    await stage.append(at, 3)
    await archiveAll(seat.writer(at))
    assert.equal(await heartbeats.step([topic]), 'signed')
  }

  assert.equal(await writer.step(signal), 0, 'nothing is signed yet')
  authority.mode = 'down'
  await beat()
  assert.equal(await writer.step(signal), 2, 'the authority is down, the others are not')
  authority.mode = 'up'
  assert.equal(await writer.step(signal), 0, 'it is not asked again at once')
  seat.clock.advance(61_000)
  await beat()
  assert.equal(await writer.step(signal), 1)
  assert.equal(
    await new AnchorWriter(seat.context, seat.chain).step(signal),
    0,
    'another archiver sees that it is done',
  )
  seat.clock.advance(HOUR_MS)
  await beat()
  authority.mode = 'garbage'
  assert.equal(await writer.step(signal), 2, 'what is no token is not kept')
  authority.mode = 'up'
  seat.clock.advance(61_000)
  assert.equal(await writer.step(signal), 1)
  await beat()
  assert.deepEqual(writer.made, [], 'the next heartbeat names them')
  webhook.closeAllConnections()
  webhook.close()

  const { archiveId, verifiers } = seat.context
  const kept = await readdir(path.join(folder, 'checkpoints', archiveId))
  assert.deepEqual(kept, ['000000000000.note', '000000000002.note'])
  assert.equal(pushed.length, 2)
  assert.equal(openCheckpoint(pushed[1] ?? '', verifiers).size, 3n)

  const report = await stage.verify({ authorities: parseCertificates(authority.ca), nowMs: seat.clock.now() })
  assert.equal(report.exitCode, 0, JSON.stringify(report.findings))
  assert.deepEqual(
    report.anchors.map(({ heartbeat, by, grade }) => [heartbeat, by, grade]).toSorted(),
    [
      ['2', 'CN=test authority', 'vouched'],
      ['2', folder, 'pushed'],
      ['2', `http://127.0.0.1:${String(address.port)}`, 'pushed'],
    ].toSorted(),
  )

  const token = anchorKey(2n, 'rfc3161', authority.url)
  const heartbeat = parseHeartbeat(
    readNoteUnverified(await readFile(path.join(stage.directory, heartbeatKey(2n)))),
  )
  await writeFile(path.join(stage.folder, 'checkpoint'), heartbeat.checkpoint ?? '')
  const plain = spawnSync(
    'openssl',
    [
      'ts',
      '-verify',
      '-in',
      path.join(stage.directory, token),
      '-data',
      path.join(stage.folder, 'checkpoint'),
      '-CAfile',
      authority.caFile,
    ],
    { encoding: 'utf8' },
  )
  assert.equal(plain.status, 0, plain.stderr)

  const source = { store: stage.store, keys: verifiers }
  const [place] = await placesOf(source, { topic: topic.name, partition: 0, offset: 7n })
  assert(place !== undefined)
  const proof = await makeProof(source, place, signal)
  assert.equal(proof.anchors.length, 3)

  const python = await orSkip(t, pythonOrReason())
  if (python === null) return
  const given = {
    python,
    folder: stage.directory,
    keys: verifiers.map(({ vkey }) => vkey),
    nowMs: seat.clock.now(),
  }
  const judged = async (anchorCa?: string) =>
    (await judge({ ...given, level: 1, ...(anchorCa === undefined ? {} : { anchorCa }) })).findings
  assert.deepEqual(await judged(), [])
  assert.deepEqual(await judged(authority.ca), [])
  await using stranger = await startAuthority()
  const tokens = [anchorKey(1n, 'rfc3161', authority.url), token]
  assert.deepEqual(
    await judged(stranger.ca),
    tokens.map((key) => `altered ${key}`),
  )
  const original = await readFile(path.join(stage.directory, token))
  for (let share = 0.02; share < 1; share += 0.19) {
    await change(stage.directory, token, (bytes) => flipped(bytes, share))
    assert.deepEqual(await judged(), [`altered ${token}`], String(share))
    await change(stage.directory, token, () => original)
  }
  const other = await readFile(path.join(stage.directory, tokens[0] ?? ''))
  await change(stage.directory, token, () => other)
  assert.deepEqual(await judged(), [`altered ${token}`], 'the token of another heartbeat')
  await change(stage.directory, token, () => original)
  await put(stage.directory, 'anchors/000000000009/push-0123456789abcdef.note', 'x')
  await put(stage.directory, 'anchors/readme', 'x')
  assert.deepEqual(await judged(), [
    'altered anchors/000000000009/push-0123456789abcdef.note',
    'altered anchors/readme',
  ])
})
