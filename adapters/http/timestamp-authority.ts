/** A time-stamp authority of RFC 3161 over HTTP. Its answer is read before it is kept: another imprint is no anchor. */
import type { X509Certificate } from 'node:crypto'
import { readTimestamp, timestampRequest } from '../../core/archive/anchor/timestamp.ts'
import type { AnchorTarget } from '../../core/ports/anchor-target.ts'
import { postAnchor } from './anchor-request.ts'

export interface AuthorityOptions {
  readonly url: string
  /** Of the authority or of who vouches for it; empty: whoever answers is taken. */
  readonly certificates: readonly X509Certificate[]
}

export function timestampAuthority({ url, certificates }: AuthorityOptions): AnchorTarget {
  return {
    kind: 'rfc3161',
    name: url,
    submit: async ({ checkpoint }, signal) => {
      const headers = { 'content-type': 'application/timestamp-query', accept: 'application/timestamp-reply' }
      const answer = await postAnchor({ url, body: timestampRequest(checkpoint), headers }, signal)
      readTimestamp(answer, checkpoint, certificates)
      return answer
    },
  }
}
