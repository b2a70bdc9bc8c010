/** Certificates as the drivers take them: what is not set is absent. */
import type { TlsConfig } from '../../core/config/config.ts'

export type TlsOptions = Readonly<Partial<Record<keyof TlsConfig, string>>>

export function tlsOptions(tls: TlsConfig | null): TlsOptions | null {
  if (tls === null) return null
  const { ca, cert, key } = tls
  return {
    ...(ca === null ? {} : { ca }),
    ...(cert === null ? {} : { cert }),
    ...(key === null ? {} : { key }),
  }
}
