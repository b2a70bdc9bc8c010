/**
 * The little of DER (X.690) that time-stamp tokens need: one element after the other, definite lengths, nothing guessed.
 * Everything comes from a stranger, so each length is held against the bytes that are there.
 */
import { HooktrailError } from '../../error/hooktrail-error.ts'

/** A length of more than four bytes is longer than any token. */
const LENGTH_BYTES_MAX = 4

export interface DerElement {
  readonly tag: number
  readonly content: Buffer
  /** With tag and length. */
  readonly whole: Buffer
}

/** @throws ARCHIVE_ANCHOR_INVALID */
export function readElement(bytes: Buffer): DerElement {
  const [tag, first] = [bytes[0], bytes[1]]
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f) throw invalid()
  if (first < 0x80) return element(bytes, tag, 2, first)
  const count = first & 0x7f
  if (count === 0 || count > LENGTH_BYTES_MAX || bytes.length < 2 + count) throw invalid()
  return element(bytes, tag, 2 + count, bytes.readUIntBE(2, count))
}

function element(bytes: Buffer, tag: number, start: number, length: number): DerElement {
  const end = start + length
  if (end > bytes.length) throw invalid()
  return { tag, content: bytes.subarray(start, end), whole: bytes.subarray(0, end) }
}

/** The elements of a constructed one. */
export function readChildren({ content }: DerElement): readonly DerElement[] {
  const children: DerElement[] = []
  for (let rest = content; rest.length > 0;) {
    const child = readElement(rest)
    children.push(child)
    rest = rest.subarray(child.whole.length)
  }
  return children
}

/** The child at a place, of a tag. */
export function childAt(of: DerElement, at: number, tag: number): DerElement {
  const child = readChildren(of)[at]
  if (child?.tag !== tag) throw invalid()
  return child
}

export function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  if (length < 0x80) return Buffer.concat([Buffer.of(tag, length), content])
  const size = length < 0x100 ? Buffer.of(0x81, length) : Buffer.of(0x82, length >> 8, length & 0xff)
  return Buffer.concat([Buffer.of(tag), size, content])
}

export function invalid(reason = 'it is no time-stamp token', cause?: unknown): HooktrailError {
  return new HooktrailError('ARCHIVE_ANCHOR_INVALID', { reason }, cause)
}
