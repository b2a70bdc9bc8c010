/**
 * What a scheme signs: a template of {timestamp}, {id} and {body}, compiled once. Header values are hashed as the bytes
 * that came over the wire (Node decodes headers as Latin-1), the body as it is.
 */
import { createHmac, type KeyObject } from 'node:crypto'

const PLACEHOLDER = /(\{timestamp\}|\{id\}|\{body\})/

export interface SignedParts {
  readonly timestamp: string
  readonly id: string
  readonly body: Buffer
}

export type SignedTemplate = readonly string[]

export function compileTemplate(template: string): SignedTemplate {
  return template.split(PLACEHOLDER).filter((piece) => piece !== '')
}

export function needsTimestamp(template: SignedTemplate): boolean {
  return template.includes('{timestamp}')
}

export function needsId(template: SignedTemplate): boolean {
  return template.includes('{id}')
}

export function hmacOf(
  { algorithm, key, template }: { algorithm: string; key: KeyObject; template: SignedTemplate },
  parts: SignedParts,
): Buffer {
  const hmac = createHmac(algorithm, key)
  for (const piece of template) {
    if (piece === '{body}') hmac.update(parts.body)
    else if (piece === '{timestamp}') hmac.update(parts.timestamp, 'latin1')
    else if (piece === '{id}') hmac.update(parts.id, 'latin1')
    else hmac.update(piece, 'utf8')
  }
  return hmac.digest()
}
