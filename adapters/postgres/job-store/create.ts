/** The job store on Postgres, put together from its groups. The schema must be there (migrate.ts). */
import type { Logger } from '../../../core/log.ts'
import type { JobStore } from '../../../core/ports/job-store.ts'
import type { Database } from '../pool.ts'
import { createDeliveryStore } from './delivery.ts'
import { createLeaseStore } from './lease.ts'
import { createMaintenanceStore } from './maintenance.ts'
import { createOperatorStore } from './operator.ts'
import { createOutboxStore } from './outbox.ts'
import { createPlanStore } from './plan.ts'

export function createPostgresJobStore(database: Database, { logger }: { logger: Logger }): JobStore {
  return {
    ...createPlanStore(database),
    ...createDeliveryStore(database, logger),
    ...createOutboxStore(database),
    ...createLeaseStore(database),
    ...createMaintenanceStore(database, logger),
    ...createOperatorStore(database),
    ping: async () => {
      await database.query('SELECT 1')
    },
  }
}
