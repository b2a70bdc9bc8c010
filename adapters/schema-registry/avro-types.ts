/**
 * What avsc reads differently here. Its arrays and maps believe the count that stands in the bytes: ten bytes of a sender
 * could ask for millions of items, and end the process. Here each item must take bytes that are there. Longs are exact.
 */
import avro, { type Schema } from 'avsc'

/** The part of avsc's reader that is looked at. */
interface Tap {
  readonly buf: Buffer
  readonly pos: number
  readLong(): number
  skipLong(): void
  readString(): string
}

interface Readable {
  _read(tap: Tap): unknown
}

type TypeHook = NonNullable<avro.ForSchemaOptions['typeHook']>

/** For avsc's `typeHook`. */
export const safeTypes: TypeHook = (schema, options) => {
  switch (nameOf(schema)) {
    case 'array':
      return new SafeArray(schema, options)
    case 'map':
      return new SafeMap(schema, options)
    case 'long':
      return exactLong
    default:
      return undefined
  }
}

/** Logical types are read as what lies below them. */
function nameOf(schema: Schema): unknown {
  if (typeof schema === 'string') return schema
  return 'type' in schema ? schema.type : null
}

class SafeArray extends avro.types.ArrayType {
  _read(tap: Tap): unknown[] {
    const items: unknown[] = []
    readBlocks(tap, () => {
      items.push(reader(this.itemsType)._read(tap))
    })
    return items
  }
}

class SafeMap extends avro.types.MapType {
  _read(tap: Tap): Record<string, unknown> {
    const entries: [string, unknown][] = []
    readBlocks(tap, () => {
      entries.push([tap.readString(), reader(this.valuesType)._read(tap)])
    })
    return Object.fromEntries(entries)
  }
}

/** Blocks of items, each with its count in front; a negative one is followed by the block's size. A count of 0 ends. */
function readBlocks(tap: Tap, readItem: () => void): void {
  for (let count = tap.readLong(); count !== 0; count = tap.readLong()) {
    if (count < 0) tap.skipLong()
    for (let left = Math.abs(count); left > 0; left--) {
      const { pos } = tap
      readItem()
      if (tap.pos <= pos || tap.pos > tap.buf.length) throw new RangeError('more items than bytes')
    }
  }
}

function reader(type: unknown): Readable {
  return type as Readable
}

const LONG_MIN = -(2 ** 63)
const LONG_MAX = 2 ** 63

/** A number where a double is exact, else a bigint. What JSON gives is a number, and fits as one. */
const exactLong = avro.types.LongType.__with({
  fromBuffer: (bytes: Buffer) => {
    const long = bytes.readBigInt64LE()
    return Number.isSafeInteger(Number(long)) ? Number(long) : long
  },
  toBuffer: (value: number | bigint) => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(BigInt(value))
    return bytes
  },
  fromJSON: (value: unknown) => value,
  toJSON: (value: unknown) => value,
  isValid: (value: unknown) =>
    typeof value === 'bigint' ||
    (typeof value === 'number' && Number.isInteger(value) && value >= LONG_MIN && value < LONG_MAX),
  compare: (a: number | bigint, b: number | bigint) => (a < b ? -1 : a > b ? 1 : 0),
})
