/**
 * Senders of signed events for end-to-end and fault tests. Each acknowledgement is on disk before the next event leaves,
 * so that what was promised outlives every process; each other answer is counted, and one that never comes is one, too.
 */
import { createHmac } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

export const SECRET = 'a-secret-for-the-senders'
export const SOURCES = `sources: { github: { verify: github, secrets: ['${SECRET}'] } }`

/** Several times the deadline of a source (3 s): whoever hears nothing until then is left hanging. */
const ANSWER_MS_MAX = 15_000

export interface Sending {
  /** Of the installation. */
  readonly url: string
  /** One event id a line. */
  readonly ackFile: string
  readonly connections: number
  /** All connections together; Infinity for as many as go until `signal`. */
  readonly events: number
  /** Of a connection, between two events; 0 for as fast as it goes. */
  readonly pauseMs: number
  readonly signal: AbortSignal
}

/** By what was answered: a status, `503 without Retry-After`, or `no answer`. */
export type Answers = Readonly<Record<string, number>>

export interface Senders {
  /** So far. */
  answers(): Answers
  /** Resolves when all have ended: each waits for the answer that is under way, unless `signal` breaks it off. */
  readonly done: Promise<Answers>
  /** No event begins any more. */
  stop(): Promise<Answers>
}

const BODY = JSON.stringify({ zen: 'Anything added dilutes everything else.', pad: 'x'.repeat(600) })
const SIGNATURE = `sha256=${createHmac('sha256', SECRET).update(BODY).digest('hex')}`
let sequence = 0

export function startSenders(sending: Sending): Senders {
  const answers: Record<string, number> = {}
  const stopping = new AbortController()
  const until = AbortSignal.any([sending.signal, stopping.signal])
  let begun = 0
  const connection = async (): Promise<void> => {
    while (begun < sending.events && !until.aborted) {
      begun++
      const answer = await sendOne(sending)
      if (sending.signal.aborted) return
      answers[answer] = (answers[answer] ?? 0) + 1
      if (sending.pauseMs > 0) await delay(sending.pauseMs, null, { signal: until }).catch(() => null)
    }
  }
  const done = Promise.all(Array.from({ length: sending.connections }, connection)).then(() => answers)
  return {
    answers: () => ({ ...answers }),
    done,
    stop: () => {
      stopping.abort()
      return done
    },
  }
}

async function sendOne({ url, ackFile, signal }: Sending): Promise<string> {
  const headers = {
    'x-hub-signature-256': SIGNATURE,
    'x-github-event': 'ping',
    'x-github-delivery': `delivery-${process.pid}-${sequence++}`,
  }
  try {
    const response = await fetch(`${url}/webhooks/github`, {
      method: 'POST',
      body: BODY,
      headers,
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS_MAX)]),
    })
    const text = await response.text()
    if (response.status === 200)
      appendFileSync(ackFile, `${(JSON.parse(text) as { event_id: string }).event_id}\n`)
    const retries = response.status !== 503 || response.headers.has('retry-after')
    return `${response.status}${retries ? '' : ' without Retry-After'}`
  } catch {
    return 'no answer'
  }
}
