/**
 * The load generator: plain sockets with prebuilt requests, so that it costs little of the two cores that it shares
 * with what it measures. Closed loop (each connection sends when its answer came) or open loop (a fixed rate; latency
 * counts from the moment a request was due, so a stalled server cannot hide).
 */
import { createHmac, randomUUID } from 'node:crypto'
import { connect, type Socket } from 'node:net'

export interface LoadOptions {
  readonly port: number
  readonly path: string
  readonly secret: string
  readonly connections: number
  /** Requests per second, or null for a closed loop. */
  readonly ratePerSecond: number | null
  /** Ends after this many requests or milliseconds, whichever comes first. */
  readonly requestsMax: number
  readonly durationMsMax: number
  readonly onAck: (eventId: string, sentAtMs: number) => void
}

export interface LoadResult {
  readonly acked: number
  readonly refused: number
  readonly elapsedMs: number
  /** Milliseconds, ascending. */
  readonly latenciesMs: Float64Array
}

/** About the size of a real GitHub push event. */
export const BENCH_BODY = JSON.stringify({
  ref: 'refs/heads/main',
  repository: { id: 186853002, full_name: 'octo/trail', private: false, owner: { login: 'octo' } },
  commits: Array.from({ length: 5 }, (_, index) => ({
    id: String(index).padStart(40, '0'),
    message: 'Keep every byte that was signed, and say so.',
    author: { name: 'Octo Cat', email: 'octo@example.com' },
    added: ['docs/trail.md'],
    modified: ['README.md', 'package.json'],
  })),
})

interface Connection {
  readonly socket: Socket
  received: string
  dueAtMs: number
  busy: boolean
}

export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  return new LoadRun(options).run()
}

class LoadRun {
  readonly #options: LoadOptions
  readonly #head: string
  readonly #tail: string
  readonly #latencies: number[] = []
  readonly #idle: Connection[] = []
  readonly #finished = Promise.withResolvers<void>()
  #sent = 0
  #answered = 0
  #refused = 0
  #startedAtMs = 0
  #stopping = false

  constructor(options: LoadOptions) {
    this.#options = options
    const signature = createHmac('sha256', options.secret).update(BENCH_BODY).digest('hex')
    this.#head = `POST ${options.path} HTTP/1.1\r\nHost: 127.0.0.1:${options.port}\r\nX-GitHub-Event: push\r\nX-Hub-Signature-256: sha256=${signature}\r\nX-GitHub-Delivery: `
    this.#tail = `\r\nUser-Agent: GitHub-Hookshot/bench\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(BENCH_BODY)}\r\n\r\n${BENCH_BODY}`
  }

  async run(): Promise<LoadResult> {
    const connections = await Promise.all(
      Array.from({ length: this.#options.connections }, () => this.#connect()),
    )
    this.#startedAtMs = performance.now()
    const stop = setTimeout(() => {
      this.#stop()
    }, this.#options.durationMsMax)
    const ticker = this.#options.ratePerSecond === null ? null : this.#openLoop(this.#options.ratePerSecond)
    if (ticker === null) for (const connection of connections) this.#send(connection, performance.now())
    else this.#idle.push(...connections)
    await this.#finished.promise
    clearTimeout(stop)
    if (ticker !== null) clearInterval(ticker)
    for (const { socket } of connections) socket.destroy()
    return {
      acked: this.#latencies.length,
      refused: this.#refused,
      elapsedMs: performance.now() - this.#startedAtMs,
      latenciesMs: Float64Array.from(this.#latencies).sort(),
    }
  }

  #stop(): void {
    this.#stopping = true
    if (this.#answered >= this.#sent) this.#finished.resolve()
  }

  #openLoop(ratePerSecond: number): NodeJS.Timeout {
    return setInterval(() => {
      const due = 1 + Math.floor(((performance.now() - this.#startedAtMs) * ratePerSecond) / 1000)
      while (!this.#stopping && this.#sent < due) {
        const connection = this.#idle.pop()
        if (connection === undefined) return
        this.#send(connection, this.#startedAtMs + (this.#sent * 1000) / ratePerSecond)
      }
    }, 2)
  }

  async #connect(): Promise<Connection> {
    const socket = connect({ port: this.#options.port, host: '127.0.0.1', noDelay: true })
    const connection: Connection = { socket, received: '', dueAtMs: 0, busy: false }
    const { promise, resolve, reject } = Promise.withResolvers<Connection>()
    socket.on('connect', () => {
      resolve(connection)
    })
    socket.on('error', (error) => {
      reject(error)
      this.#finished.reject(error)
    })
    socket.on('data', (chunk: Buffer) => {
      this.#receive(connection, chunk.toString('latin1'))
    })
    socket.on('close', () => {
      if (connection.busy) this.#finished.reject(new Error('the server closed a connection'))
    })
    return promise
  }

  #send(connection: Connection, dueAtMs: number): void {
    if (this.#stopping || this.#sent >= this.#options.requestsMax) {
      this.#stop()
      return
    }
    this.#sent++
    connection.busy = true
    connection.dueAtMs = dueAtMs
    connection.socket.write(this.#head + randomUUID() + this.#tail, 'latin1')
  }

  #receive(connection: Connection, text: string): void {
    connection.received += text
    const end = connection.received.indexOf('\r\n\r\n')
    if (end < 0) return
    const length = Number(/content-length: (\d+)/i.exec(connection.received.slice(0, end))?.[1] ?? 0)
    if (connection.received.length < end + 4 + length) return
    this.#answer(connection, connection.received.slice(0, end + 4 + length))
    connection.received = connection.received.slice(end + 4 + length)
    if (this.#options.ratePerSecond === null) this.#send(connection, performance.now())
    else this.#idle.push(connection)
    if (this.#stopping && this.#answered >= this.#sent) this.#finished.resolve()
  }

  #answer(connection: Connection, response: string): void {
    connection.busy = false
    this.#answered++
    const eventId = /"event_id":"(\w+)"/.exec(response)?.[1]
    if (!response.startsWith('HTTP/1.1 2')) {
      this.#refused++
      return
    }
    this.#latencies.push(performance.now() - connection.dueAtMs)
    this.#options.onAck(eventId ?? '', connection.dueAtMs)
  }
}

/** The q-th quantile of ascending values, 0 when there are none. */
export function quantile(ascending: Float64Array, q: number): number {
  return ascending[Math.min(ascending.length - 1, Math.floor(ascending.length * q))] ?? 0
}
