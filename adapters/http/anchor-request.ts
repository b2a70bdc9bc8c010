/** One POST to a third party that anchors checkpoints: bounded in time and in what is read of the answer. */
import { request } from 'undici'
import { ANCHOR_BYTES_MAX } from '../../core/archive/anchor/anchor-keys.ts'
import { HooktrailError, isHooktrailError } from '../../core/error/hooktrail-error.ts'

const ANSWER_MS_MAX = 10_000

export interface AnchorPost {
  readonly url: string
  readonly body: Buffer
  readonly headers: Readonly<Record<string, string>>
}

/** @throws ARCHIVE_ANCHOR_FAILED */
export async function postAnchor({ url, body, headers }: AnchorPost, signal: AbortSignal): Promise<Buffer> {
  const { origin } = new URL(url)
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS_MAX)])
    const answer = await request(url, { method: 'POST', body, headers, signal: limit })
    if (answer.statusCode >= 300) {
      await answer.body.dump({ limit: ANCHOR_BYTES_MAX, signal: limit })
      throw new HooktrailError('ARCHIVE_ANCHOR_FAILED', { target: origin, status: answer.statusCode })
    }
    return await bounded(answer.body, origin)
  } catch (error) {
    if (isHooktrailError(error)) throw error
    throw new HooktrailError('ARCHIVE_ANCHOR_FAILED', { target: origin }, error)
  }
}

async function bounded(body: AsyncIterable<Buffer>, target: string): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > ANCHOR_BYTES_MAX)
      throw new HooktrailError('ARCHIVE_ANCHOR_FAILED', { target, reason: 'the answer is too long' })
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
