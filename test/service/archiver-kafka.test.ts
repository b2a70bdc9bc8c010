/**
 * What only a Kafka log has, up to the verdict on its archive: offsets without a record are housekeeping and exit 0; what was
 * lost before it was archived is signed and exit 2; a topic made again and partitions that were added have chains of their own.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { manifestKey } from '../../core/archive/keys.ts'
import { readManifest } from '../../archiver/notes.ts'
import type { ManifestGap } from '../../core/archive/manifest.ts'
import type { Finding } from '../../core/archive/verify/finding.ts'
import type { TopicPartition } from '../../core/ports/event-log.ts'
import { ArchiverLife } from '../support/archiver-life.ts'
import { archiveAll, openStage, partitionOf, type ArchiverStage } from '../support/archiver-stage.ts'
import { CONFIG } from '../support/crash-scene.ts'
import { HandClock } from '../support/hand-clock.ts'
import { beginTransaction, untilStable, writeCompacted } from '../support/kafka-gaps.ts'
import { openKafkaStage, type KafkaLogStage } from '../support/kafka-log.ts'
import { FaultPlan } from '../support/mortal-process.ts'
import { kafkaOrReason } from '../support/services/kafka.ts'

const brokers = await kafkaOrReason({ properties: ['log.cleaner.backoff.ms=100'] })
if (typeof brokers !== 'string') after(() => brokers[Symbol.asyncDispose]())

interface Place {
  readonly kafka: KafkaLogStage
  readonly stage: ArchiverStage
}

function testKafka(name: string, body: (place: Place) => Promise<void>): void {
  test(name, { skip: typeof brokers === 'string' ? brokers : false }, async () => {
    if (typeof brokers === 'string') return
    await using kafka = await openKafkaStage(brokers.brokers)
    await using stage = await openStage(undefined, kafka)
    await body({ kafka, stage })
  })
}

/** Archives the partition and signs it. @returns the gaps of its first manifest */
async function archive(stage: ArchiverStage, at: TopicPartition): Promise<readonly ManifestGap[]> {
  const seat = await stage.seat('a')
  assert.equal(await archiveAll(seat.writer(at)), 'idle')
  assert.equal(await seat.heartbeats.step(await stage.log.topics()), 'signed')
  const key = manifestKey(at.topic, at.topicId, at.partition, 0n)
  return (await readManifest(seat.context, key))?.manifest.gaps ?? []
}

/** A whole archiver that rolls every four records. */
function lifeOn(stage: ArchiverStage, clock: HandClock): ArchiverLife {
  const spoolDirectory = join(stage.folder, 'spool')
  const deps = stage.deps('life', { clock, deps: { store: stage.jobs, spoolDirectory } })
  const config = { ...CONFIG, log: { ...CONFIG.log, topicPrefix: stage.topicPrefix, retentionMs: 3_600_000 } }
  return new ArchiverLife({ config, deps, clock, plan: new FaultPlan([]) })
}

function losses(findings: readonly Finding[]): readonly string[] {
  return findings.filter(({ code }) => code === 'gap-declared').map(({ text }) => text)
}

testKafka(
  'aborted and control records are gaps with their reasons, and the archive is whole',
  async ({ kafka, stage }) => {
    const topic = await stage.topic(`${stage.topicPrefix}.events.mixed`)
    const at = partitionOf(topic)
    await stage.append(at, 2)
    {
      await using aborted = await beginTransaction(kafka, 'aborted')
      await aborted.send(topic, ['never', 'never'])
      await aborted.transaction.abort()
      await untilStable(stage.log, topic, 5n)
      await using committed = await beginTransaction(kafka, 'committed')
      await committed.send(topic, ['sent'])
      await committed.transaction.commit()
      await untilStable(stage.log, topic, 7n)
    }
    await stage.append(at, 1, 'last')
    assert.deepEqual(await archive(stage, at), [
      { from: '2', reason: 'aborted', to: '3' },
      { from: '4', reason: 'control', to: '4' },
      { from: '6', reason: 'control', to: '6' },
    ])
    await stage.check([at])
  },
)

testKafka(
  'offsets that compaction took are gaps with that reason, and the archive is whole',
  async ({ kafka, stage }) => {
    const topic = await writeCompacted(kafka, stage.log)
    const gaps = await archive(stage, partitionOf(topic))
    assert.ok(gaps.length > 0 && gaps.every(({ reason }) => reason === 'compacted'), JSON.stringify(gaps))
    assert.equal(gaps[0]?.from, '0')
    const report = await stage.verify()
    assert.deepEqual([report.exitCode, report.findings], [0, []])
  },
)

testKafka(
  'a log whose start moved past the head of its chain is a signed loss, and exit 2',
  async ({ stage }) => {
    const at = partitionOf(await stage.topic(`${stage.topicPrefix}.events.lost`))
    await stage.append(at, 10)
    await archive(stage, at)
    await stage.append(at, 10, 'lost')
    await stage.log.truncate(at, 15n)
    assert.equal(await archiveAll((await stage.seat('b')).writer(at)), 'idle')
    const report = await stage.verify()
    assert.equal(report.exitCode, 2)
    const [loss] = report.findings.filter(({ code }) => code === 'gap-declared')
    assert.deepEqual(
      { object: loss?.object, offset: loss?.offset },
      { object: manifestKey(at.topic, at.topicId, 0, 10n), offset: '10' },
    )
    assert.deepEqual(losses(report.findings), ['offsets 10 to 14 are declared lost: retention-loss'])
  },
)

for (const [ending, exitCode, lost] of [
  ['lives on', 0, []],
  ['was killed meanwhile', 2, ['offsets 4 to 5 are declared lost: topic-deleted']],
] as const)
  testKafka(
    `a topic made again has a chain of its own; an archiver that ${ending} leaves the old one with exit ${String(exitCode)}`,
    async ({ stage }) => {
      const name = `${stage.topicPrefix}.events.again`
      const clock = new HandClock()
      const life = lifeOn(stage, clock)
      await stage.append(partitionOf(await stage.topic(name)), 6)
      // Four are archived, two are in its memory and signed as written.
      await life.turn()
      clock.advance(60_000)
      if (exitCode === 2) life.kill()
      await stage.deleteTopic(name)
      await stage.append(partitionOf(await stage.topic(name)), 5, 'again')
      await life.turn()
      clock.advance(60_000)
      await life.finish()
      const report = await stage.verify({ nowMs: clock.now() })
      assert.equal(report.exitCode, exitCode, JSON.stringify(report.findings))
      assert.deepEqual(losses(report.findings), lost)
      const values = (await stage.rows()).map(({ value }) => value ?? '')
      const of = (prefix: string): number => values.filter((value) => value.startsWith(prefix)).length
      assert.deepEqual([of('event-'), of('again-')], [exitCode === 0 ? 6 : 4, 5])
    },
  )

testKafka(
  'partitions that are added to a topic are archived from their start, and the archive is whole',
  async ({ kafka, stage }) => {
    const name = `${stage.topicPrefix}.events.wider`
    const clock = new HandClock()
    const life = lifeOn(stage, clock)
    await stage.append(partitionOf(await stage.topic(name)), 5)
    await life.turn()
    clock.advance(60_000)
    await kafka.admin.createPartitions({ topicPartitions: [{ topic: name, count: 3 }] })
    const [topic] = await stage.log.topics()
    assert.equal(topic?.partitions, 3)
    const partitions = [0, 1, 2].map((partition) => partitionOf(topic, partition))
    for (const at of partitions) await stage.append(at, 5, `added-${String(at.partition)}`)
    await life.turn()
    clock.advance(60_000)
    await life.finish()
    await stage.check(partitions)
    const report = await stage.verify({ nowMs: clock.now() })
    assert.deepEqual([report.exitCode, report.records], [0, '20'])
  },
)
