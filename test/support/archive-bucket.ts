/**
 * A bucket with Object Lock for the archive of an installation, on a versitygw of its own in a given folder: what goes
 * into the configuration, what whoever only reads is given, and the rows as they lie in the server's folder. The server
 * may be killed, stopped and started again.
 */
import { join } from 'node:path'
import { archivedRows, type ArchivedRow } from './archive-reader.ts'
import { createLockedBucket, type KillableS3 } from './services/s3-service.ts'
import { startVersitygw } from './services/versitygw.ts'

const PREFIX = 'trail'

export interface ArchiveBucket extends AsyncDisposable {
  readonly s3: KillableS3
  readonly name: string
  /** As `archive verify` takes it. */
  readonly location: string
  /** YAML of `archive`, the credentials of a writer in it. */
  readonly config: string
  /** Of somebody who may read and list, and no more. */
  readonly readerEnv: Readonly<Record<string, string>>
  /** Read without any product code, also while the server is away. */
  rows(): readonly ArchivedRow[]
}

/**
 * @param folder stays behind: its caller removes it
 * @param settings more of `archive`, as YAML of a flow mapping
 * @throws ServiceUnavailableError
 */
export async function openArchiveBucket(folder: string, settings: string): Promise<ArchiveBucket> {
  await using opened = new AsyncDisposableStack()
  const s3 = opened.use(await startVersitygw({ folder }))
  const name = await createLockedBucket(s3)
  const kept = opened.move()
  return {
    ...{ s3, name, location: `s3://${name}/${PREFIX}` },
    config: `archive: { driver: s3, bucket: ${name}, prefix: ${PREFIX}, endpoint: '${s3.endpoint}', ${settings}, credentials: { access_key: ${s3.accessKey}, secret_key: ${s3.secretKey} } }`,
    readerEnv: {
      AWS_ACCESS_KEY_ID: s3.reader.accessKey,
      AWS_SECRET_ACCESS_KEY: s3.reader.secretKey,
      AWS_ENDPOINT_URL_S3: s3.endpoint,
    },
    rows: () => archivedRows(join(folder, 'buckets', name, PREFIX)),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}
