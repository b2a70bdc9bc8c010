/**
 * The listeners of a process. /webhooks is for the public and stays on `server`; health, metrics and API go with it, or
 * on `api.listen` where that is set. A process without ingress opens no listener that would answer nothing.
 */
import type { FastifyInstance } from 'fastify'
import { createServer, listen, probeAddress } from '../../adapters/http/server.ts'
import type { Config, Settings } from '../../core/config/config.ts'

export interface Addresses {
  /** Of /webhooks; null where there is no ingress. */
  readonly webhooks: string | null
  readonly api: string
}

export class Listeners implements AsyncDisposable {
  /** For /webhooks. */
  readonly open: FastifyInstance
  /** For health, metrics and API. */
  readonly admin: FastifyInstance
  readonly #config: Config

  constructor(config: Config) {
    this.#config = config
    this.open = createServer(config.server)
    this.admin = config.api.listen === null ? this.open : createServer(config.server)
  }

  /** @throws PORT_IN_USE */
  async listen(hasIngress: boolean): Promise<Addresses> {
    const { server, api } = this.#config
    if (api.listen === null) {
      const url = await listen(this.open, server)
      return { webhooks: hasIngress ? url : null, api: url }
    }
    const admin = await listen(this.admin, hostAndPort(api.listen))
    return { webhooks: hasIngress ? await listen(this.open, server) : null, api: admin }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.open.close()
    if (this.admin !== this.open) await this.admin.close()
  }
}

/** A taken address is told before a database is started for nothing; the real listening stays where it is. @throws PORT_IN_USE */
export async function probeListeners({ server, api }: Settings, hasIngress: boolean): Promise<void> {
  if (api.listen !== null) await probeAddress(hostAndPort(api.listen))
  if (api.listen === null || hasIngress) await probeAddress(server)
}

/** `host:port`, an IPv6 host in brackets, as the configuration has checked it. */
export function hostAndPort(text: string): { host: string; port: number } {
  const at = text.lastIndexOf(':')
  return { host: text.slice(0, at).replace(/^\[(.*)\]$/, '$1'), port: Number(text.slice(at + 1)) }
}
