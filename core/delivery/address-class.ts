/**
 * May a handler's request go to this address? (delivery §5, lesson 25.) Public addresses always; private ones when
 * `allow_private` says so; link-local and cloud metadata only where a CIDR lists them. An IPv6 address that carries
 * an IPv4 address is judged by both, so that no notation leads around the check.
 */
import ipaddr from 'ipaddr.js'

export type AllowPrivate = boolean | readonly string[]

type Address = ipaddr.IPv4 | ipaddr.IPv6

/** Ranges that `allow_private: true` opens. */
const PRIVATE_RANGES: ReadonlySet<string> = new Set([
  'private',
  'loopback',
  'carrierGradeNat',
  'uniqueLocal',
  'deprecatedSiteLocal',
])

/** Instance metadata that lies outside link-local: AWS, Google, Alibaba, Oracle, Azure. */
const METADATA = [
  'fd00:ec2::254/128',
  'fd20:ce::254/128',
  '100.100.100.200/32',
  '192.0.0.192/32',
  '168.63.129.16/32',
].map((cidr) => ipaddr.parseCIDR(cidr))

const MAPPED = [
  ipaddr.parseCIDR('::ffff:0:0/96'),
  ipaddr.parseCIDR('::/96'),
  ipaddr.parseCIDR('::ffff:0:0:0/96'),
]
const NAT64 = ipaddr.parseCIDR('64:ff9b::/96')
/** For translators of one's own (RFC 8215), and so as private as these. */
const LOCAL_NAT64 = ipaddr.parseCIDR('64:ff9b:1::/48')
/** All that is given out of IPv6. */
const GLOBAL_UNICAST = ipaddr.parseCIDR('2000::/3')
const SIX_TO_FOUR = ipaddr.parseCIDR('2002::/16')
const TEREDO = ipaddr.parseCIDR('2001::/32')

/** Null when the address may be used, else why not. `text` in any form that ipaddr.js reads (decimal, octal, hex). */
export function refusedAddress(text: string, allow: AllowPrivate): string | null {
  const bare = text.replace(/^\[|\]$/g, '')
  if (!ipaddr.isValid(bare)) return `${bare} is not an address`
  const address = ipaddr.parse(bare)
  if (isListed(address, allow)) return null
  for (const candidate of [address, ...carriedAddresses(address)]) {
    const range = rangeOf(candidate)
    if (range === 'unicast' || isListed(candidate, allow)) continue
    if (allow === true && PRIVATE_RANGES.has(range)) continue
    return `${text} is ${range}`
  }
  return null
}

/** True when the host of a URL is written as an address (the resolver is not asked for those). */
export function isAddress(host: string): boolean {
  return ipaddr.isValid(host.replace(/^\[|\]$/g, ''))
}

function rangeOf(address: Address): string {
  if (METADATA.some((cidr) => matches(address, cidr))) return 'metadata'
  if (matches(address, LOCAL_NAT64)) return 'private'
  const carriers = [...MAPPED.slice(0, 1), NAT64, SIX_TO_FOUR]
  // What carries a public IPv4 address is as public as that address, which is judged beside it.
  if (carriers.some((cidr) => matches(address, cidr))) return 'unicast'
  const range = address.range()
  const isGiven = address instanceof ipaddr.IPv4 || matches(address, GLOBAL_UNICAST)
  return range === 'unicast' && !isGiven ? 'reserved' : range
}

function isListed(address: Address, allow: AllowPrivate): boolean {
  if (typeof allow === 'boolean') return false
  return allow.some((cidr) =>
    matches(address, ipaddr.parseCIDR(cidr.includes('/') ? cidr : wholeAddress(cidr))),
  )
}

function wholeAddress(address: string): string {
  return `${address}/${address.includes(':') ? 128 : 32}`
}

function matches(address: Address, cidr: [Address, number]): boolean {
  if (address instanceof ipaddr.IPv4) return cidr[0] instanceof ipaddr.IPv4 && address.match(cidr[0], cidr[1])
  return cidr[0] instanceof ipaddr.IPv6 && address.match(cidr[0], cidr[1])
}

function carriedAddresses(address: Address): readonly Address[] {
  if (address instanceof ipaddr.IPv4) return []
  const bytes = address.toByteArray()
  const at = (start: number): Address => new ipaddr.IPv4(bytes.slice(start, start + 4))
  if (matches(address, LOCAL_NAT64)) {
    // Two layouts of RFC 6052: behind 96 bits, or behind 48 and around the octet that is zero.
    const inside = new ipaddr.IPv4([...bytes.slice(6, 8), ...bytes.slice(9, 11)])
    return [at(12), inside].filter((one) => one.toString() !== '0.0.0.0')
  }
  if ([...MAPPED, NAT64].some((cidr) => matches(address, cidr))) {
    // ::1 and :: are no carriers of 0.0.0.1.
    return bytes.slice(0, 12).every((byte) => byte === 0) && bytes.slice(12, 15).every((byte) => byte === 0)
      ? []
      : [at(12)]
  }
  if (matches(address, SIX_TO_FOUR)) return [at(2)]
  if (matches(address, TEREDO))
    return [at(4), new ipaddr.IPv4(bytes.slice(12, 16).map((byte) => byte ^ 0xff))]
  return []
}
