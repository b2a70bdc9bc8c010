/**
 * Kafka's variable-length integers and length-prefixed bytes in a plain buffer. Reading refuses to leave the buffer;
 * writing relies on the caller's bound on what it writes. Measured: twice as fast as the client's readers and writers,
 * which handle buffers in pieces.
 */
export class ByteReader {
  readonly #bytes: Buffer
  at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  byte(): number {
    const byte = this.#bytes[this.at]
    if (byte === undefined) throw new RangeError(`no byte at ${this.at}`)
    this.at++
    return byte
  }

  /** Signed 32-bit. */
  varint(): number {
    let raw = 0
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte()
      raw |= (byte & 0x7f) << shift
      if (byte < 0x80) return (raw >>> 1) ^ -(raw & 1)
      if (shift >= 28) throw new RangeError(`no end of an integer at ${this.at}`)
    }
  }

  /** Signed 64-bit. */
  varlong(): bigint {
    let raw = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.byte()
      raw |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asIntN(64, (raw >> 1n) ^ -(raw & 1n))
      if (shift >= 63n) throw new RangeError(`no end of an integer at ${this.at}`)
    }
  }

  skip(length: number): void {
    const end = this.at + length
    if (length < 0 || end > this.#bytes.length) throw new RangeError(`no ${length} bytes at ${this.at}`)
    this.at = end
  }

  /** A length and as many bytes; -1 is null. A view, not a copy. */
  varBytes(): Buffer | null {
    const length = this.varint()
    if (length === -1) return null
    this.skip(length)
    return this.#bytes.subarray(this.at - length, this.at)
  }

  varText(): string {
    const length = this.varint()
    this.skip(length)
    return this.#bytes.toString('utf8', this.at - length, this.at)
  }
}

export class ByteWriter {
  readonly bytes: Buffer
  at: number

  constructor(bytes: Buffer, at: number) {
    this.bytes = bytes
    this.at = at
  }

  byte(value: number): void {
    this.bytes[this.at++] = value
  }

  varint(value: number): void {
    let raw = ((value << 1) ^ (value >> 31)) >>> 0
    for (; raw >= 0x80; raw >>>= 7) this.byte((raw & 0x7f) | 0x80)
    this.byte(raw)
  }

  varBytes(value: Buffer | string | null): void {
    if (value === null) {
      this.varint(-1)
      return
    }
    const isText = typeof value === 'string'
    const length = isText ? Buffer.byteLength(value) : value.length
    this.varint(length)
    if (isText) this.bytes.write(value, this.at, length)
    else this.bytes.set(value, this.at)
    this.at += length
  }
}
