/** One entry of `archive.anchors`: an authority that stamps checkpoints, or a place that they are pushed to. */
import type { AnchorConfig, PushPlace } from './config.ts'
import { field } from './fields.ts'

const BUCKET = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\/?([A-Za-z0-9._=+/-]{0,512}?)\/?$/
const EXPECTED =
  '{type: rfc3161, url, certificate} or {type: push, to: a folder, a URL or s3://bucket/prefix}'

export const anchor = field('anchor', EXPECTED, parseAnchor)

function parseAnchor(value: unknown): AnchorConfig | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null
  const entries: Readonly<Record<string, unknown>> = { ...value }
  const { type, url, certificate = null, to, ...rest } = entries
  if (Object.keys(rest).length > 0) return null
  if (type === 'push' && url === undefined && certificate === null) {
    const place = typeof to === 'string' ? parsePlace(to) : null
    return place && { type, to: place }
  }
  if (type !== 'rfc3161' || to !== undefined || typeof url !== 'string' || !isWebUrl(url)) return null
  if (certificate === null) return { type, url, certificate }
  return typeof certificate === 'string' && certificate.includes('-----BEGIN CERTIFICATE-----')
    ? { type, url, certificate }
    : null
}

function parsePlace(to: string): PushPlace | null {
  if (isWebUrl(to)) return { kind: 'webhook', url: to }
  const [, bucket, prefix = ''] = BUCKET.exec(to) ?? []
  if (bucket !== undefined) return { kind: 'bucket', bucket, prefix }
  return to.startsWith('/') ? { kind: 'folder', path: to } : null
}

function isWebUrl(text: string): boolean {
  const url = URL.parse(text)
  return url !== null && (url.protocol === 'https:' || url.protocol === 'http:') && url.hash === ''
}
