/**
 * Rows of one open segment: in memory while few, else in a spool file, uncompressed. They are brought into
 * their format once, when the segment is sealed, so an idle partition holds no encoder. A spool file is never needed after
 * a crash: the log is read again.
 */
import { hash } from 'node:crypto'
import { access, mkdir, open, rm, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { codecOf } from '../core/archive/format/segment-codec.ts'
import type { SegmentFormat } from '../core/archive/manifest.ts'
import { encodeFile } from './encode-file.ts'

/** Rows kept in memory before they go to the file. */
const MEMORY_BYTES_MAX = 256 * 1024

export interface SealedBody {
  readonly body: Buffer | { readonly path: string; readonly size: number }
  readonly size: number
  readonly sha256: Buffer
}

/** False when a body that lay in a file was removed: then it is made again from the log. */
export async function isBodyThere(body: SealedBody['body'] | null): Promise<boolean> {
  if (body === null || Buffer.isBuffer(body)) return true
  return access(body.path).then(
    () => true,
    () => false,
  )
}

export class SpoolFile {
  readonly #path: string
  readonly #format: SegmentFormat
  #rows: Buffer[] = []
  #rowBytes = 0
  #file: FileHandle | null = null
  #fileBytes = 0

  constructor(path: string, format: SegmentFormat) {
    this.#path = path
    this.#format = format
  }

  get bytes(): number {
    return this.#fileBytes + this.#rowBytes
  }

  add(row: Buffer): void {
    this.#rows.push(row)
    this.#rowBytes += row.length
  }

  /** Call between batches: keeps what is in memory bounded by one batch. */
  async spill(): Promise<void> {
    if (this.#rowBytes >= MEMORY_BYTES_MAX) await this.#write()
  }

  async seal(): Promise<SealedBody> {
    return this.#file === null ? this.#sealInMemory() : this.#sealFile()
  }

  async dispose(): Promise<void> {
    await this.#file?.close()
    this.#file = null
    await rm(this.#path, { force: true })
    await rm(this.#sealedPath, { force: true })
  }

  get #sealedPath(): string {
    return `${this.#path}.sealed`
  }

  async #write(): Promise<void> {
    this.#file ??= await this.#create()
    const bytes = Buffer.concat(this.#rows, this.#rowBytes)
    await this.#file.appendFile(bytes)
    this.#rows = []
    this.#rowBytes = 0
    this.#fileBytes += bytes.length
  }

  /** Together with its folder, which somebody may have removed to free space. */
  async #create(): Promise<FileHandle> {
    await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 })
    return open(this.#path, 'w', 0o600)
  }

  async #sealInMemory(): Promise<SealedBody> {
    const rows = Readable.from([Buffer.concat(this.#rows, this.#rowBytes)])
    const parts: Buffer[] = []
    await pipeline(rows, codecOf(this.#format).encode(), async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) parts.push(chunk)
    })
    const body = Buffer.concat(parts)
    return { body, size: body.length, sha256: hash('sha256', body, 'buffer') }
  }

  async #sealFile(): Promise<SealedBody> {
    if (this.#rowBytes > 0) await this.#write()
    await this.#file?.close()
    this.#file = null
    const { size, sha256 } = await encodeFile({
      from: this.#path,
      to: this.#sealedPath,
      format: this.#format,
    })
    await rm(this.#path, { force: true })
    return { body: { path: this.#sealedPath, size }, size, sha256 }
  }
}
