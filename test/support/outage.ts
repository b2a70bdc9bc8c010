/** What tests of outages wait for: states that the installation shows, never a time. */
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { eventually, type Installation } from './installation.ts'
import type { Senders } from './senders.ts'

const NOTICED_MS_MAX = 60_000
const STOP_MS_MAX = 60_000

/** Resolves when /health, which answers 200 whatever is away, matches. */
export async function untilHealthSays(trail: Installation, says: RegExp): Promise<void> {
  let health = ''
  await eventually(`health says ${says.source}`, NOTICED_MS_MAX, async () => {
    const response = await fetch(`${trail.url}/health`)
    assert.equal(response.status, 200)
    health = await response.text()
    return says.test(health) ? true : null
  }).catch((error: unknown) => {
    throw new Error(`${health}\n${trail.output()}`, { cause: error })
  })
}

/** Resolves when `count` more have got this answer than now. */
export async function untilAnswered(senders: Senders, answer: string, count: number): Promise<void> {
  const answered = (): number => senders.answers()[answer] ?? 0
  const wanted = answered() + count
  await eventually(`${count} events are answered ${answer}`, NOTICED_MS_MAX, () =>
    Promise.resolve(answered() >= wanted ? true : null),
  ).catch((error: unknown) => {
    throw new Error(JSON.stringify(senders.answers()), { cause: error })
  })
}

export async function isReady({ url }: Installation): Promise<boolean> {
  return (await fetch(`${url}/health/ready`)).status === 200
}

/** SIGTERM. @returns the exit code, or that it went on running */
export function stopSoon(trail: Installation): Promise<number | string | null> {
  return Promise.race([trail.stop(), delay(STOP_MS_MAX, 'still running', { ref: false })])
}
