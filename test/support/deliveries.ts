/** What end-to-end tests do with an installation from outside: send GitHub pings, see what arrived, ask for the report. */
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { eventually, type CliResult } from './installation.ts'
import type { Receiver } from './receiver.ts'

export interface Ping {
  readonly secret: string
  readonly body: string | Uint8Array<ArrayBuffer>
  /** The dedup key. */
  readonly delivery: string
}

/** To the source `github` of the ingress at `url`; resolves with the event's id. */
export async function sendPing(url: string, { secret, body, delivery }: Ping): Promise<string> {
  const headers = {
    'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
    'x-github-event': 'ping',
    'x-github-delivery': delivery,
  }
  const response = await fetch(`${url}/webhooks/github`, { method: 'POST', body, headers })
  assert.equal(response.status, 200)
  return ((await response.json()) as { event_id: string }).event_id
}

/** Of every request at the path, in the order in which they came. */
export function eventIdsAt(receiver: Receiver, path: string): readonly string[] {
  return receiver.requests
    .filter((request) => request.path === path)
    .map(({ headers }) => String(headers['x-hooktrail-event-id']))
}

export async function untilReceived(
  receiver: Receiver,
  path: string,
  { ids, msMax }: { readonly ids: readonly string[]; readonly msMax: number },
): Promise<void> {
  await eventually(`${path} gets what was sent`, msMax, () => {
    const seen = new Set(eventIdsAt(receiver, path))
    return Promise.resolve(ids.every((id) => seen.has(id)) ? true : null)
  })
}

/** Fails with what `hooktrail report` said last. */
export async function untilReportAddsUp(ask: () => Promise<CliResult>, msMax: number): Promise<void> {
  let report = ''
  await eventually('the report adds up', msMax, async () => {
    const { code, stdout, stderr } = await ask()
    report = stdout + stderr
    return code === 0 ? true : null
  }).catch((error: unknown) => {
    throw new Error(report, { cause: error })
  })
}
