/**
 * Once for a whole test run: whether a Docker engine answers, what is not run therefore, and one Postgres. Files that run
 * on their own find out and start for themselves.
 */
import { createTemplate, startTestServer } from './postgres.ts'
import { dockerEngine } from './services/docker.ts'

const opened = new AsyncDisposableStack()

export async function globalSetup(): Promise<void> {
  const hasDocker = (await dockerEngine()) !== null
  process.env['HOOKTRAIL_TEST_DOCKER'] = hasDocker ? '1' : '0'
  console.log(`not run here: ${hasDocker ? 'docker compose up' : 'Docker (compose up, Redpanda, MinIO)'}`)
  const given = process.env['HOOKTRAIL_TEST_DATABASE_URL']
  const url = given === undefined || given === '' ? opened.use(await startTestServer()).url : given
  process.env['HOOKTRAIL_TEST_DATABASE_URL'] = url
  process.env['HOOKTRAIL_TEST_DATABASE_TEMPLATE'] = opened.use(await createTemplate(url)).name
}

export async function globalTeardown(): Promise<void> {
  await opened.disposeAsync()
}
