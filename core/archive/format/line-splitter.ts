/** Lines of a stream of bytes, whatever the chunks are cut like, with one bounded line held at most. */
import { HooktrailError } from '../../error/hooktrail-error.ts'

const LINE_BYTES_MAX = 256 * 1024 * 1024
const NEWLINE = 0x0a

export class LineSplitter {
  #held: Buffer[] = []
  #heldBytes = 0

  /** To be called behind the last chunk. @throws ARCHIVE_ROW_INVALID */
  end(): void {
    if (this.#heldBytes > 0)
      throw new HooktrailError('ARCHIVE_ROW_INVALID', { reason: 'the last row has no newline' })
  }

  /** Lines that end in the chunk, without their newlines. @throws ARCHIVE_ROW_INVALID */
  *push(chunk: Buffer): Generator<Buffer, void, undefined> {
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const piece = chunk.subarray(start, end)
      const line = this.#held.length === 0 ? piece : Buffer.concat([...this.#held, piece])
      this.#held = []
      this.#heldBytes = 0
      start = end + 1
      yield line
    }
    if (start < chunk.length) this.#held.push(chunk.subarray(start))
    this.#heldBytes += chunk.length - start
    if (this.#heldBytes > LINE_BYTES_MAX)
      throw new HooktrailError('ARCHIVE_ROW_INVALID', { reason: 'a row is too long' })
  }
}
