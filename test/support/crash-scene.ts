/**
 * What happens around archivers that die: records come in, time passes, a legal hold is asked for, the log is cut. In the
 * end the archive must hold what was appended, record for record, and both halves of that are read without the archiver.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { openDirectoryStore } from '../../adapters/directory/directory-store.ts'
import { openLockProbe } from '../../adapters/s3/lock-probe.ts'
import type { S3Store } from '../../adapters/s3/s3-store.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import type { ArchiverConfig } from '../../archiver/archiver.ts'
import { storeTarget } from '../../core/archive/anchor/store-target.ts'
import type { TopicPartition } from '../../core/ports/event-log.ts'
import type { JobStore } from '../../core/ports/job-store.ts'
import type { KeyCandidate, KeySource } from '../../core/ports/signer.ts'
import { newSigner } from './archive-keys.ts'
import { openStage, partitionOf, PREFIX, SETTINGS, type ArchiverStage } from './archiver-stage.ts'
import { ArchiverLife } from './archiver-life.ts'
import { HandClock } from './hand-clock.ts'
import { FaultPlan, type Fault } from './mortal-process.ts'
import { silentLogger } from './postgres.ts'
import type { S3Stage } from './s3-stage.ts'
import { overridden } from './overridden.ts'

const PER_ROUND = 6
const RECORDS_MAX = 4
const DAY_MS = 86_400_000

export const CONFIG: ArchiverConfig = {
  archive: { ...SETTINGS, roll: { ...SETTINGS.roll, recordsMax: RECORDS_MAX } },
  log: {
    ...{ kafka: null, topicPrefix: PREFIX, partitions: 1, retentionMs: 0 },
    disk: { capacityBytes: null, alarmRatio: 0.7, shedRatio: 0.9 },
  },
}

export interface Scene extends AsyncDisposable {
  readonly stage: ArchiverStage
  readonly clock: HandClock
  readonly plan: FaultPlan
  readonly at: TopicPartition
  /** Records, a turn of every archiver, and then this time passes. */
  readonly round: (pauseMs: number) => Promise<void>
  readonly turn: () => Promise<void>
  /** From now on another key is at hand, which takes the place of the one that signs. */
  readonly rotate: () => void
  readonly kill: () => void
  readonly finish: () => Promise<void>
  /** Asserts that the archive holds exactly what was appended, but for what is told as lost. */
  readonly check: (lost?: readonly string[]) => Promise<void>
}

export interface SceneOptions {
  /** Null: a directory, without locks. */
  readonly s3: S3Stage | null
  /** Of a proxy before it. */
  readonly endpoint?: string
  readonly archivers: number
  readonly faults: readonly Fault[]
}

export async function openScene({ s3, endpoint, archivers, faults }: SceneOptions): Promise<Scene> {
  await using opening = new AsyncDisposableStack()
  const store = s3?.open(endpoint === undefined ? {} : { endpoint })
  const stage = opening.use(await openStage(store))
  const clock = new HandClock()
  const plan = new FaultPlan(faults)
  const current = async (): Promise<TopicPartition> =>
    partitionOf(await stage.topic(`${PREFIX}.events.scene`))
  const at = await current()
  const worm = store === undefined || s3 === null ? {} : { worm: opening.use(wormOf(s3, store)) }
  const candidates: KeyCandidate[] = []
  const keySource: KeySource = {
    read: () => Promise.resolve(candidates),
    promote: () => Promise.resolve(),
  }
  const lives = Array.from({ length: archivers }, (_, n) => {
    const instance = `archiver-${String(n)}`
    const kept = join(stage.folder, 'kept')
    const anchors = [
      storeTarget(kept, () => openDirectoryStore(kept, { clock: systemClock, logger: silentLogger })),
    ]
    const deps = stage.deps(instance, {
      clock,
      deps: {
        ...{
          store: sharedLeases(stage.jobs),
          keySource,
          anchors,
          spoolDirectory: join(stage.folder, instance),
        },
        ...worm,
        ...(stage.replaceableLog && { replaceableLog: stage.replaceableLog }),
        tools: { 'tools/0.0.0/hooktrail_verify.py': '# a verifier\n' },
      },
    })
    if (candidates.length === 0) candidates.push({ signer: deps.signer, delegations: [] })
    return new ArchiverLife({ config: CONFIG, deps, clock, plan })
  })
  const turn = async (): Promise<void> => {
    await Promise.all(lives.map((life) => life.turn()))
  }
  const appended: string[] = []
  let rounds = 0
  const kept = opening.move()
  return {
    ...{ stage, clock, plan, at },
    round: async (pauseMs) => {
      const name = `round-${String(rounds++)}`
      await stage.append(await current(), PER_ROUND, name)
      for (let n = 0; n < PER_ROUND; n++) appended.push(`${name}-${String(n)}`)
      await turn()
      clock.advance(pauseMs)
    },
    turn,
    rotate: () => {
      candidates.push({ signer: newSigner(), delegations: [] })
    },
    kill: () => {
      for (const life of lives) life.kill()
    },
    finish: async () => {
      await Promise.all(lives.map((life) => life.finish()))
    },
    check: async (lost = []) => {
      const archived = (await stage.rows()).map(({ value }) => value)
      const expected = appended.filter((value) => !lost.includes(value))
      const events = `after ${plan.struck.join(', ')}`
      assert.deepEqual(archived.toSorted(), expected.toSorted(), `each record once ${events}`)
      const { exitCode, findings } = await stage.verify({ nowMs: clock.now() })
      const told = `${JSON.stringify(findings, null, 1)} ${events}`
      assert.equal(exitCode, lost.length === 0 ? 0 : 2, told)
      assert.deepEqual(plan.unstruck, [], 'each fault came')
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

function wormOf(s3: S3Stage, store: S3Store) {
  const probe = openLockProbe(s3.optionsOf(), null)
  const fallback = { mode: 'governance' as const, periodMs: 10 * DAY_MS }
  const terms = { fallback, topics: new Map() }
  return {
    ...{ mode: 'required' as const, terms, store, probe },
    [Symbol.asyncDispose]: () => probe[Symbol.asyncDispose](),
  }
}

/** Leases are for liveness only: here everybody believes to have them, so that all write everything. */
export function sharedLeases(store: JobStore): JobStore {
  return overridden(store, {
    acquireLease: async (...given) => {
      await store.acquireLease(...given)
      return true
    },
  })
}
