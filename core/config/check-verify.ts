/** What the members of `verify` need of each other. Left out where one of them is malformed, as in check-config.ts. */
import type { Report } from './config-fault.ts'
import { soundMembers, type Part } from './parse-section.ts'
import { spelledOut, verifyMembers } from './schema.ts'

const known = Object.keys(verifyMembers.shape)
const placeholders = [
  ['{timestamp}', 'timestamp_header'],
  ['{id}', 'id_header'],
] as const

const scheme = verifyMembers.pick({ scheme: true }).strip()
const header = verifyMembers.pick({ header: true }).strip()
const signed = verifyMembers.pick({ signed: true }).strip()
const content = verifyMembers.pick({ signed: true, timestamp_header: true, id_header: true }).strip()
const age = verifyMembers.pick({ signed: true, timestamp_header: true, tolerance: true }).strip()

export function checkVerify(at: Part['at'], verify: unknown, report: Report): void {
  const part = { at, value: spelledOut(verify) }
  const found = soundMembers(scheme, part, known)
  if (found === null) return
  if (found.scheme === 'hmac') checkHmac(part, report)
  else checkMisplaced(part, found.scheme, report)
}

function checkMisplaced({ at, value }: Part, name: string, report: Report): void {
  if (typeof value !== 'object' || value === null) return
  for (const key of ['header', 'timestamp_header', 'id_header'])
    if (Object.hasOwn(value, key))
      report({ at: [...at, key], message: `has no meaning for ${name}`, hint: 'scheme: hmac' })
}

function checkHmac(part: Part, report: Report): void {
  const { at } = part
  const own = soundMembers(header, part, known)
  if (own !== null && own.header === undefined)
    report({ at, message: 'hmac needs the header that holds the signature', hint: 'header: x-signature' })
  const text = soundMembers(signed, part, known)?.signed
  if (text?.includes('{body}') === false) report({ at: [...at, 'signed'], message: 'must contain {body}' })
  const template = soundMembers(content, part, known)
  for (const [placeholder, key] of placeholders)
    if (template?.signed.includes(placeholder) === true && template[key] === undefined)
      report({ at, message: `${placeholder} is signed, but ${key} is missing` })
  const timed = soundMembers(age, part, known)
  if (timed?.tolerance === undefined) return
  if (!timed.signed.includes('{timestamp}') || timed.timestamp_header === undefined)
    report({
      at: [...at, 'tolerance'],
      message: 'needs a time that is signed',
      hint: 'signed: "{timestamp}.{body}"',
    })
}
