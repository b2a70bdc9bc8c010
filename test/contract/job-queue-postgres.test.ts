/** The queue on Postgres: the port's suite. A taker waits for a hint, from whatever process, or for the next due time. */
import { test } from 'node:test'
import { createPostgresJobQueue } from '../../adapters/postgres/job-queue.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import { createJobStage } from '../support/job-stage.ts'
import { silentLogger } from '../support/postgres.ts'
import { testJobQueue } from './job-queue.ts'

const OPTIONS = { clock: systemClock, logger: silentLogger }

testJobQueue((name, body) => {
  test(name, async () => {
    await using stage = await createJobStage()
    const { database, store } = stage
    await body({ ...stage, open: () => Promise.resolve(createPostgresJobQueue(database, store, OPTIONS)) })
  })
})
