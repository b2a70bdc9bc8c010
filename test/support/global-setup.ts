/** One Postgres for a whole test run; files that run on their own start one for themselves. */
import { startTestCluster, type TestCluster } from './postgres.ts'

let cluster: TestCluster | null = null

export async function globalSetup(): Promise<void> {
  const given = process.env['HOOKTRAIL_TEST_DATABASE_URL']
  if (given !== undefined && given !== '') return
  cluster = await startTestCluster()
  process.env['HOOKTRAIL_TEST_DATABASE_URL'] = cluster.postgres.url
}

export async function globalTeardown(): Promise<void> {
  await cluster?.[Symbol.asyncDispose]()
}
