/**
 * An archive under Object Lock on real stores: what the archiver locks, and that whatever somebody with all rights on the
 * bucket does to versions, markers, locks, holds and policies is named, object by object, with the right exit code.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomUUID } from 'node:crypto'
import { after, before, test } from 'node:test'
import { openLockProbe } from '../../adapters/s3/lock-probe.ts'
import type { S3Store } from '../../adapters/s3/s3-store.ts'
import { HoldKeeper } from '../../archiver/hold-keeper.ts'
import { Upkeep } from '../../archiver/upkeep.ts'
import type { WormDeps } from '../../archiver/protecting.ts'
import { copiedLocks } from '../../cli/moving/copied-locks.ts'
import { copyArchive } from '../../cli/moving/copy-archive.ts'
import { lockOf } from '../../core/archive/retention.ts'
import type { VerifyReport } from '../../core/archive/verify/verify-report.ts'
import { archiveAll, openStage, partitionOf, type ArchiverStage } from '../support/archiver-stage.ts'
import { HandClock } from '../support/hand-clock.ts'
import { LockedArchive } from '../support/locked-archive.ts'
import { openS3Stage, type S3Stage } from '../support/s3-stage.ts'
import { startOrReason, type S3Service } from '../support/services/s3-service.ts'
import { startSeaweedfs } from '../support/services/seaweedfs.ts'
import { startVersitygw } from '../support/services/versitygw.ts'
import { HELD_TAMPERINGS, LOCK_TAMPERINGS, type LockTampering } from '../support/tamperings/locks.ts'

const DAY_MS = 86_400_000
/** The same requests on other keys: on the slower store once is enough. */
const REPEATED = /a manifest|a heartbeat|genesis/
/** Behind the last request that may not have seen a hold. */
const SETTLED_MS = 601_000
const AUDIT = { actor: 'test', action: 'archive.hold', target: 'case-17', reason: 'case 17', details: {} }
const TERMS: WormDeps['terms'] = {
  fallback: { mode: 'governance', periodMs: 10 * DAY_MS },
  topics: new Map(),
}
const STORES = { versitygw: startVersitygw, SeaweedFS: startSeaweedfs }

for (const [name, start] of Object.entries(STORES)) {
  const service = await startOrReason(start)
  if (typeof service === 'string') test(`an archive under Object Lock on ${name}`, { skip: service })
  else testLocks(name, service)
}

function testLocks(name: string, service: S3Service): void {
  let s3: S3Stage
  let store: S3Store
  let stage: ArchiverStage
  let worm: WormDeps
  let scratch: string
  const clock = new HandClock()
  const opened = new AsyncDisposableStack()

  before(async () => {
    s3 = opened.use(await openS3Stage(opened.use(service)))
    store = s3.open()
    stage = opened.use(await openStage(store))
    worm = { mode: 'required', terms: TERMS, store, probe: opened.use(openLockProbe(s3.optionsOf(), null)) }
    scratch = await mkdtemp(join(tmpdir(), 'archive-locks-'))
    opened.defer(() => rm(scratch, { recursive: true, force: true }))
    await makeArchive()
  })
  after(() => opened.disposeAsync())

  /** Three segments under three heartbeats. */
  async function makeArchive(): Promise<void> {
    const at = partitionOf(await stage.topic(`hooktrail.events.locks`))
    const seat = await stage.seat('a', { clock, deps: { worm } })
    for (let n = 0; n < 3; n++) {
      await stage.append(at, 5, `event-${n}`)
      assert.equal(await archiveAll(seat.writer(at)), 'idle')
      assert.equal(await seat.heartbeats.step(await stage.log.topics()), 'signed')
      clock.advance(60_000)
    }
  }

  const judge = (of: S3Store, nowMs = clock.now()): Promise<VerifyReport> =>
    stage.verify({ store: of, nowMs })

  test(`every object is locked as its policy says, and an intact archive is exit 0 on ${name}`, async () => {
    const report = await judge(store)
    assert.deepEqual([report.exitCode, report.findings], [0, []])
    let objects = 0
    for await (const { key } of store.list('')) {
      const found = await store.protectionOf(key)
      const wanted = lockOf(TERMS, key, clock.now())
      assert.ok(found !== null && found.lock !== null && found.lock !== 'unknown', key)
      assert.equal(found.lock.mode, 'governance')
      assert.ok(Math.abs(found.lock.untilMs - wanted.untilMs) < DAY_MS, key)
      objects += 1
    }
    assert.equal(objects, 3 + 3 + 3 + 4, 'data, manifests, heartbeats; genesis, two files, a policy')
  })

  test(`what was kept long enough may be gone on ${name}: expired, and before that it is missing`, async () => {
    const archive = await copy()
    const [data = ''] = archive.keys('data/')
    await archive.removeVersion(data)
    const early = await judge(archive.store)
    assert.equal(early.exitCode, 1)
    assert.ok(early.findings.some(({ code, object }) => code === 'data-missing' && object === data))
    const late = await judge(archive.store, clock.now() + 11 * DAY_MS)
    assert.ok(late.findings.some(({ code, object }) => code === 'expired' && object === data))
    assert.deepEqual(
      late.findings.filter(({ severity }) => severity === 'altered'),
      [],
    )
  })

  for (const tampering of LOCK_TAMPERINGS.filter(({ how }) => name === 'versitygw' || !REPEATED.test(how)))
    test(`${tampering.how} is named on ${name}`, () => assertNamed(tampering))

  test(`a longer retention is signed, and what leads to the archive is locked on, on ${name}`, async () => {
    const terms = { ...TERMS, fallback: { mode: 'governance' as const, periodMs: 30 * DAY_MS } }
    const seat = await stage.seat('c', { clock, deps: { worm: { ...worm, terms } } })
    await new Upkeep(seat.context).lockRoots()
    clock.advance(60_000)
    assert.equal(await seat.heartbeats.step(await stage.log.topics()), 'signed', 'a new policy is news')
    const report = await judge(store)
    assert.deepEqual([report.exitCode, report.findings], [0, []])
    const { lock } = (await store.protectionOf('genesis.note')) ?? { lock: null }
    assert.ok(lock !== null && lock !== 'unknown')
    assert.equal(lock.untilMs, lockOf(terms, 'genesis.note', clock.now() - 60_000).untilMs)
    const archive = await copy()
    await archive.removeVersion('policy/000000000001.note')
    const cut = await judge(archive.store)
    assert.ok(
      cut.findings.some(
        ({ code, object }) => code === 'note-missing' && object === 'policy/000000000001.note',
      ),
    )
    // An archiver with the same settings finds that they are in force.
    await stage.seat('d', { clock, deps: { worm: { ...worm, terms } } })
    assert.deepEqual((await LockedArchive.open(s3, store)).keys('policy/').length, 2)
  })

  test(`a legal hold reaches back and ahead on ${name}, is missed when it is gone, and ends by its release`, async () => {
    const seat = await stage.seat('b', { clock, deps: { worm, store: stage.jobs } })
    const keeper = new HoldKeeper(seat.context)
    const at = partitionOf(await stage.topic('hooktrail.events.locks'))
    const range = { topic: at.topic, topic_id: null, partition: null, from: '0', to: null }
    const request = { holdId: 'case-17', range, eventId: null, reason: 'case 17' }
    assert.ok(await stage.jobs.requestHold({ ...request, action: 'hold' }, AUDIT))
    await follow(keeper)
    const before = await LockedArchive.open(s3, store)
    for (const key of [...before.keys('data/'), ...before.keys('segments/')])
      assert.equal((await store.protectionOf(key))?.isHeld, true, key)

    await stage.append(at, 5, 'later')
    assert.equal(await archiveAll(seat.writer(at)), 'idle')
    const newest = (await LockedArchive.open(s3, store)).key('data/', -1)
    assert.ok(!before.keys('data/').includes(newest))
    assert.equal((await store.protectionOf(newest))?.isHeld, true, 'it is held from its first byte')

    clock.advance(SETTLED_MS)
    await follow(keeper)
    assert.equal(await seat.heartbeats.step(await stage.log.topics()), 'signed')
    assert.equal((await judge(store)).exitCode, 0)
    for (const tampering of HELD_TAMPERINGS) await assertNamed(tampering)
    const held = await copy()
    await held.release(held.key('data/'))
    await held.removeVersion(held.key('data/'))
    const late = await judge(held.store, clock.now() + 11 * DAY_MS)
    assert.ok(
      late.findings.some(({ code }) => code === 'data-missing'),
      'what is held does not expire',
    )

    assert.ok(await stage.jobs.requestHold({ ...request, action: 'release', range: null }, AUDIT))
    await follow(keeper)
    clock.advance(SETTLED_MS)
    await follow(keeper)
    assert.equal((await store.protectionOf(newest))?.isHeld, false)
    assert.equal(await seat.heartbeats.step(await stage.log.topics()), 'signed')
    assert.equal((await judge(store)).exitCode, 0)
    assert.deepEqual(
      (await stage.jobs.listHolds({ limit: 10 })).items.map(({ noteN, release }) => [noteN, release?.noteN]),
      [[0n, '2']],
    )
  })

  test(`data is locked as long as its policy says by the clock of ${name}, though the archiver's is days behind`, async () => {
    const topic = await stage.topic('hooktrail.events.behind')
    const behind = new HandClock(Date.now() - 4 * DAY_MS)
    const seat = await stage.seat('behind', { clock: behind, deps: { worm } })
    await stage.append(partitionOf(topic), 2)
    assert.equal(await archiveAll(seat.writer(partitionOf(topic))), 'idle')
    const [data = ''] = seat.archive.created.filter((key) => key.startsWith('data/'))
    const [head, found] = [await store.head(data), await store.protectionOf(data)]
    assert.ok(head !== null && found !== null && found.lock !== null && found.lock !== 'unknown')
    assert.ok(
      found.lock.untilMs > head.lastModifiedMs + 9 * DAY_MS,
      new Date(found.lock.untilMs).toISOString(),
    )
  })

  async function assertNamed({ how, damage, object, code }: LockTampering): Promise<void> {
    const archive = await copy()
    await damage(archive)
    const report = await judge(archive.store)
    const named = object(archive)
    const told = JSON.stringify(report.findings, null, 1)
    assert.equal(report.exitCode, 1, `${how}: ${told}`)
    assert.ok(
      report.findings.some((finding) => finding.code === code && finding.object === named),
      `${how}: no ${code} of ${named} in ${told}`,
    )
  }

  /** The archive once more with its locks, under a prefix of its own. */
  async function copy(): Promise<LockedArchive> {
    const to = s3.open({ prefix: `copies/${randomUUID()}` })
    const protect = copiedLocks({ from: store, terms: null, nowMs: Date.now() })
    const { signal } = new AbortController()
    await copyArchive({ from: store, to, spoolDirectory: join(scratch, 'spool'), protect }, signal)
    return LockedArchive.open(s3, to)
  }
}

/** Until nothing is left to do at this time. */
async function follow(keeper: HoldKeeper): Promise<void> {
  for (let steps = 0; await keeper.step(); steps++) assert.ok(steps < 100, 'the holds come to rest')
}
