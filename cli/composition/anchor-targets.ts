/**
 * The third parties that the configuration names for checkpoints. Nothing is asked before the first anchor is due, so one
 * that is away holds up no start. A bucket takes the credentials, region and endpoint of the environment.
 */
import { openDirectoryStore } from '../../adapters/directory/directory-store.ts'
import { checkpointWebhook } from '../../adapters/http/checkpoint-webhook.ts'
import { timestampAuthority } from '../../adapters/http/timestamp-authority.ts'
import { storeTarget } from '../../core/archive/anchor/store-target.ts'
import { parseCertificates } from '../../core/archive/anchor/timestamp.ts'
import type { AnchorConfig, PushPlace } from '../../core/config/config.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { AnchorTarget } from '../../core/ports/anchor-target.ts'
import type { ArchiveStore } from '../../core/ports/archive-store.ts'
import { bucketOptions } from '../open-archive.ts'
import type { Context } from './context.ts'

type Given = Pick<Context, 'clock' | 'logger'> & { readonly config: Pick<Context['config'], 'archive'> }

/** What has to be closed goes to `opened`. @throws ARCHIVE_ANCHOR_INVALID where a certificate cannot be read */
export function anchorTargets(context: Given, opened: AsyncDisposableStack): readonly AnchorTarget[] {
  return context.config.archive.anchors.map((anchor) => targetOf(context, opened, anchor))
}

function targetOf(context: Given, opened: AsyncDisposableStack, anchor: AnchorConfig): AnchorTarget {
  switch (anchor.type) {
    case 'rfc3161':
      return timestampAuthority({
        url: anchor.url,
        certificates: parseCertificates(anchor.certificate ?? ''),
      })
    case 'push':
      return pushTarget(context, opened, anchor.to)
    default:
      return anchor satisfies never
  }
}

function pushTarget(context: Given, opened: AsyncDisposableStack, to: PushPlace): AnchorTarget {
  switch (to.kind) {
    case 'webhook':
      return checkpointWebhook(to.url)
    case 'folder':
      return storeTarget(to.path, () => openDirectoryStore(to.path, context))
    case 'bucket':
      return bucketTarget(context, opened, to)
    default:
      return to satisfies never
  }
}

function bucketTarget(
  { clock, logger }: Given,
  opened: AsyncDisposableStack,
  { bucket, prefix }: Extract<PushPlace, { kind: 'bucket' }>,
): AnchorTarget {
  let store: ArchiveStore | null = null
  const location = `s3://${bucket}/${prefix}`
  return storeTarget(location, async () => {
    if (store !== null) return store
    const { openS3Store } = await import('../../adapters/s3/s3-store.ts')
    const options = bucketOptions(location)
    if (options === null) throw new HooktrailError('ARCHIVE_ANCHOR_FAILED', { target: location })
    store = opened.use(openS3Store({ ...options, clock, logger }))
    return store
  })
}
