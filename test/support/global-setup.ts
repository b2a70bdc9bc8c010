/**
 * Once for a whole test run: whether a Docker engine answers, what is not run therefore, and one Postgres. Files that run
 * on their own find out and start for themselves.
 */
import { startTestServer, type TestDatabase } from './postgres.ts'
import { dockerEngine } from './services/docker.ts'

let server: TestDatabase | null = null

export async function globalSetup(): Promise<void> {
  const hasDocker = (await dockerEngine()) !== null
  process.env['HOOKTRAIL_TEST_DOCKER'] = hasDocker ? '1' : '0'
  console.log(`not run here: ${hasDocker ? 'docker compose up' : 'Docker (compose up, Redpanda, MinIO)'}`)
  const given = process.env['HOOKTRAIL_TEST_DATABASE_URL']
  if (given !== undefined && given !== '') return
  server = await startTestServer()
  process.env['HOOKTRAIL_TEST_DATABASE_URL'] = server.url
}

export async function globalTeardown(): Promise<void> {
  await server?.[Symbol.asyncDispose]()
}
