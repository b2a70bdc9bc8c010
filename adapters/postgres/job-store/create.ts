/** The job store on Postgres, put together from its groups. The schema must be there (migrate.ts). */
import type { Logger } from '../../../core/log.ts'
import type { JobStore } from '../../../core/ports/job-store.ts'
import type { Database } from '../database.ts'
import { onServer } from '../servers.ts'
import { createBreakerStore } from './breakers.ts'
import { createDeliveryStore } from './delivery.ts'
import { createHoldStore } from './holds.ts'
import { createLeaseStore } from './lease.ts'
import { createMaintenanceStore } from './maintenance.ts'
import { createOperatorStore } from './operator.ts'
import { createOutboxStore } from './outbox.ts'
import { createPlanStore } from './plan.ts'
import { createPumpStore } from './pump.ts'
import { createRecoveryStore } from './recovery.ts'
import { commitReplayStep, replayPositions } from './replay-plan.ts'
import { takeReplayed } from './replay-take.ts'
import { createReplayStore } from './replays.ts'
import { createRunningRootStore } from './running-roots.ts'
import { createServingStore } from './serving.ts'
import { rememberedVerdicts } from './verdicts.ts'

export interface PostgresJobStoreOptions {
  readonly logger: Logger
  /** The queue keeps hints of its own, which the planner offers: new jobs are marked as queued. */
  readonly queued?: boolean
}

export function createPostgresJobStore(
  database: Database,
  { logger, queued = false }: PostgresJobStoreOptions,
): JobStore {
  return {
    ...createPlanStore(database, { queued }),
    ...createDeliveryStore(database, logger),
    ...createPumpStore(database),
    ...createBreakerStore(database),
    ...createOutboxStore(database),
    ...createLeaseStore(database),
    ...createServingStore(database),
    ...createMaintenanceStore(database, logger),
    ...createRecoveryStore(database),
    ...createOperatorStore(database),
    ...createReplayStore(database),
    replayPositions: (...place) => replayPositions(database, ...place),
    commitReplayStep: (request, decide, publish) =>
      commitReplayStep(onServer(database, request.server ?? null), { request, decide, publish }),
    rememberedVerdicts: (request) => rememberedVerdicts(database, request),
    takeReplayed: (request) => takeReplayed(database, request),
    ...createHoldStore(database),
    ...createRunningRootStore(database),
    ping: async () => {
      await database.query('SELECT 1')
    },
  }
}
