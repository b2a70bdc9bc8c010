/**
 * Which lock each kind of object must have: data what its manifest states, a manifest a year more, a heartbeat what its
 * policy asks for, and what leads to the whole archive at least what the newest heartbeat has. Clocks of several writers
 * and the daily extension make a slack of two days: a lock that was shortened by less is not told from a slow clock.
 */
import { GENESIS_KEY, numberedKey } from '../keys.ts'
import type { Genesis, Heartbeat, Manifest } from '../manifest.ts'
import { NOTE_MARGIN_MS } from '../retention.ts'
import type { ObjectLock } from '../../ports/archive-store.ts'
import type { VerifyContext } from './verify-context.ts'

const SLACK_MS = 2 * 86_400_000

export async function verifySegmentLocks(
  { agreements, locks, findings }: VerifyContext,
  key: string,
  manifest: Manifest,
): Promise<void> {
  const isHeld = agreements.mustBeHeld(manifest)
  const { retention, data } = manifest
  if (retention === null) {
    for (const held of [key, ...(data === null ? [] : [data.key])])
      await locks.check(held, { lock: null, isHeld })
    return
  }
  const lock: ObjectLock = { mode: retention.mode, untilMs: Date.parse(retention.until) }
  if (!retention.verified) {
    const text = 'it was signed without a proof that its data is locked'
    findings.add({ code: 'worm-not-in-force', severity: 'worm', object: key, text })
    return
  }
  if (data !== null) await locks.check(data.key, { lock, isHeld })
  await locks.check(key, { lock: withSlack({ ...lock, untilMs: lock.untilMs + NOTE_MARGIN_MS }), isHeld })
}

/** Only under a probe that passed the store was known to lock. */
export async function verifyHeartbeatLock(
  { agreements, locks }: VerifyContext,
  key: string,
  heartbeat: Heartbeat,
): Promise<void> {
  if (heartbeat.worm === 'off' || heartbeat.worm.result !== 'pass') return
  const lock = agreements.lockAt(heartbeat, key)
  if (lock !== null) await locks.check(key, { lock: withSlack(lock), isHeld: false })
}

/** Genesis, the explaining files, and every note about what is kept. */
export async function verifyRootLocks(
  context: VerifyContext,
  genesis: Genesis,
  last: Heartbeat | null,
): Promise<void> {
  if (last === null || last.worm === 'off' || last.worm.result !== 'pass') return
  const { policy, holds } = last.worm
  const keys = [GENESIS_KEY, ...Object.keys(genesis.files)]
  for (let n = 0n; policy !== null && n <= BigInt(policy.n); n++) keys.push(numberedKey('policy', n))
  for (let n = 0n; holds !== null && n <= BigInt(holds.n); n++) keys.push(numberedKey('holds', n))
  const lock = context.agreements.lockAt(last, GENESIS_KEY)
  if (lock === null) return
  for (const key of keys) await context.locks.check(key, { lock: withSlack(lock), isHeld: false })
}

function withSlack(lock: ObjectLock): ObjectLock {
  return { ...lock, untilMs: lock.untilMs - SLACK_MS }
}
