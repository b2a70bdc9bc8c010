/**
 * undici's connector with what an attempt records: how long name, TCP and TLS took, and to which address it went.
 * The resolver is replaced: every address of the name is checked, one is pinned, and the connection goes to that one,
 * so a name that changes its mind between check and connect (rebinding) gains nothing.
 */
import { lookup as systemLookup, type LookupAddress } from 'node:dns'
import type { Socket } from 'node:net'
import { buildConnector } from 'undici'
import type { TlsConfig } from '../../core/config/config.ts'
import { isAddress, refusedAddress, type AllowPrivate } from '../../core/delivery/address-class.ts'

export class AddressBlockedError extends Error {
  override readonly name = 'AddressBlockedError'
  readonly code = 'ADDRESS_BLOCKED'
}

export class NameNotResolvedError extends Error {
  override readonly name = 'NameNotResolvedError'
  readonly code = 'NAME_NOT_RESOLVED'
}

export interface ConnectTimings {
  readonly startedAt: number
  dnsMs: number | null
  connectMs: number | null
  tlsMs: number | null
  remoteAddress: string | null
}

export interface ConnectorOptions {
  readonly allowPrivate: AllowPrivate
  readonly tls: TlsConfig | null
  readonly timeoutMs: number
  readonly monotonic: () => number
  /** Default: the system's. */
  readonly resolve?: Resolve
  /** Called when a connection stands or has failed. */
  readonly connected: (timings: ConnectTimings) => void
}

/** Every address that a name has now, in the order in which they are to be tried. */
export type Resolve = (
  host: string,
  callback: (error: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[]) => void,
) => void

const systemResolve: Resolve = (host, callback) => {
  systemLookup(host, { all: true, order: 'verbatim' }, callback)
}

type LookupCallback = (
  error: NodeJS.ErrnoException | null,
  address: string | LookupAddress[],
  family?: number,
) => void

export function createConnector(options: ConnectorOptions): buildConnector.connector {
  const connect = buildConnector({
    timeout: options.timeoutMs,
    keepAlive: true,
    ca: options.tls?.ca ?? undefined,
    cert: options.tls?.cert ?? undefined,
    key: options.tls?.key ?? undefined,
    lookup: (host, lookupOptions, callback) => {
      pinnedLookup(host, options, { all: lookupOptions.all === true, callback })
    },
  })
  return (target, callback) => {
    const refused = isAddress(target.hostname) ? refusedAddress(target.hostname, options.allowPrivate) : null
    if (refused !== null) {
      callback(new AddressBlockedError(refused), null)
      return
    }
    const timings = newTimings(options.monotonic())
    const finish: buildConnector.Callback = (...result) => {
      const [, socket] = result
      timings.remoteAddress ??= socket?.remoteAddress ?? null
      options.connected(timings)
      callback(...result)
    }
    const open: (...call: Parameters<typeof connect>) => unknown = connect
    const socket = open(target, finish)
    if (isSocket(socket)) watch(socket, timings, options.monotonic)
  }
}

function newTimings(startedAt: number): ConnectTimings {
  return { startedAt, dnsMs: null, connectMs: null, tlsMs: null, remoteAddress: null }
}

/** The connector returns its socket at run time, though its type does not say so. */
function isSocket(value: unknown): value is Socket {
  return typeof value === 'object' && value !== null && 'once' in value && 'remoteAddress' in value
}

function watch(socket: Socket, timings: ConnectTimings, monotonic: () => number): void {
  let since = timings.startedAt
  const lap = (): number => {
    const now = monotonic()
    const elapsed = now - since
    since = now
    return elapsed
  }
  socket.once('lookup', () => {
    timings.dnsMs = lap()
  })
  socket.once('connect', () => {
    timings.connectMs = lap()
    timings.remoteAddress = socket.remoteAddress ?? null
  })
  socket.once('secureConnect', () => {
    timings.tlsMs = lap()
  })
}

function pinnedLookup(
  host: string,
  { allowPrivate, resolve = systemResolve }: Pick<ConnectorOptions, 'allowPrivate' | 'resolve'>,
  answer: { readonly all: boolean; readonly callback: LookupCallback },
): void {
  resolve(host, (error, addresses) => {
    // With an error there are no addresses at all, whatever the types say.
    const [pinned] = error === null ? addresses : []
    if (pinned === undefined) {
      answer.callback(new NameNotResolvedError(`${host}: ${error?.code ?? 'no address'}`), [])
      return
    }
    for (const { address } of addresses) {
      const refused = refusedAddress(address, allowPrivate)
      if (refused !== null) {
        answer.callback(new AddressBlockedError(`${host}: ${refused}`), [])
        return
      }
    }
    if (answer.all) answer.callback(null, [pinned])
    else answer.callback(null, pinned.address, pinned.family)
  })
}
