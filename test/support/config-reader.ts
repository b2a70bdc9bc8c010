/** Reads configurations of tests: one environment, one secret file, and what is expected of the result. */
import assert from 'node:assert/strict'
import type { ConfigFault } from '../../core/config/config-fault.ts'
import type { Settings } from '../../core/config/config.ts'
import { readConfig, type ConfigResult } from '../../core/config/read-config.ts'

export const env = { SECRET: 'secret-of-the-source', TRICKY: 'x, admin: true }' }
const files: Readonly<Record<string, string>> = { '/run/secret': 'from-a-file\n' }

export const source = 'sources: { a: { verify: github, secret: "${SECRET}" } }\n'

export function handler(members: string): string {
  return `version: 1\n${source}handlers: { h: { source: a, url: 'https://example.com/', ${members} } }\n`
}

export function read(text: string, overlay?: string): ConfigResult {
  const readFile = (path: string): string => {
    const content = files[path]
    if (content === undefined) throw new Error('no such file')
    return content
  }
  const over = overlay === undefined ? null : { file: 'hooktrail.prod.yaml', text: overlay }
  return readConfig({ text, file: 'hooktrail.yaml', overlay: over }, { env, readFile })
}

export function valid(text: string, overlay?: string): Settings {
  const result = read(text, overlay)
  assert.ok(result.ok, JSON.stringify(result))
  return result.config
}

export function faultsOf(text: string, overlay?: string): readonly ConfigFault[] {
  const result = read(text, overlay)
  assert.ok(!result.ok, 'the configuration has faults')
  return result.faults
}

/** `path message (hint)` of every fault, in order. */
export function tellingsOf(text: string, overlay?: string): readonly string[] {
  return faultsOf(text, overlay).map(
    ({ path, message, hint }) => `${path} ${message}${hint === null ? '' : ` (${hint})`}`,
  )
}

export function hasFault(text: string, path: string, message: RegExp): void {
  const faults = faultsOf(text)
  const isFound = faults.some(
    (fault) => fault.path === path && message.test(`${fault.message} ${fault.hint ?? ''}`),
  )
  assert.ok(isFound, JSON.stringify(faults))
}
