/**
 * MinIO for tests: S3 with versions and Object Lock in a container, the image of docker-compose.yml, and a user who may
 * only read. Its data lives and dies with the container.
 */
import { startContainer } from './docker.ts'
import type { KillableS3, S3Keys } from './s3-service.ts'

const ROOT: S3Keys = { accessKey: 'hooktrail', secretKey: 'hooktrail-secret' }
const READER: S3Keys = { accessKey: 'reader', secretKey: 'reader-secret' }

const READER_POLICY = JSON.stringify({
  Version: '2012-10-17',
  Statement: [
    {
      Effect: 'Allow',
      Action: ['s3:Get*', 's3:ListBucket', 's3:ListBucketVersions'],
      Resource: ['arn:aws:s3:::*'],
    },
  ],
})

export async function startMinio(): Promise<KillableS3> {
  await using opened = new AsyncDisposableStack()
  const container = opened.use(
    await startContainer({
      service: 'minio',
      port: 9000,
      env: { MINIO_ROOT_USER: ROOT.accessKey, MINIO_ROOT_PASSWORD: ROOT.secretKey },
      command: () => ['server', '/data'],
      ready: 'mc ready local',
    }),
  )
  const mc = (...args: readonly string[]): Promise<string> => container.run(['mc', ...args])
  await mc('alias', 'set', 'root', 'http://127.0.0.1:9000', ROOT.accessKey, ROOT.secretKey)
  await mc('admin', 'user', 'add', 'root', READER.accessKey, READER.secretKey)
  await container.run(['sh', '-c', `printf %s '${READER_POLICY}' > /tmp/reader.json`])
  await mc('admin', 'policy', 'create', 'root', 'reader', '/tmp/reader.json')
  await mc('admin', 'policy', 'attach', 'root', 'reader', '--user', READER.accessKey)
  const kept = opened.move()
  const { host, port } = container.address
  return {
    endpoint: `http://${host}:${port}`,
    ...ROOT,
    reader: READER,
    kill: (signal) => container.kill(signal),
    restart: () => container.restart(),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}
