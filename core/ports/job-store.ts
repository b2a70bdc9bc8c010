/**
 * Port: jobs, attempts, positions and operators' state. Mutable, indexed, rebuildable. Adapter: adapters/postgres.
 * Groups, one file of the adapter each; a process takes only the groups that it uses.
 *
 * Duties: every method is one transaction (or one statement) and durable when it resolves. A rejection means
 * "unknown": callers repeat, and each method is written so that repeating it is harmless. All times are the
 * database's own `now()`. Positions move by compare-and-swap together with their effect (I8); a lease row is for
 * liveness only. Deadlock and serialization failures are retried by the adapter, bounded.
 */
import type { BreakerStore } from './breaker-store.ts'
import type { DeliveryStore } from './delivery-store.ts'
import type { HoldStore } from './hold-store.ts'
import type { LeaseStore, ServingStore } from './lease-store.ts'
import type { MaintenanceStore } from './maintenance-store.ts'
import type { OperatorStore } from './operator-store.ts'
import type { OutboxStore } from './outbox-store.ts'
import type { PlanRecoveryStore, PlanStore } from './plan-store.ts'
import type { PumpStore } from './pump-store.ts'
import type { RecoveryStore } from './recovery-store.ts'
import type { ReplayDeliveryStore, ReplayStore } from './replay-store.ts'
import type { RunningRootStore } from './running-root-store.ts'

export interface JobStore
  extends
    PlanStore,
    DeliveryStore,
    PumpStore,
    BreakerStore,
    OutboxStore,
    LeaseStore,
    ServingStore,
    MaintenanceStore,
    RecoveryStore,
    ReplayDeliveryStore,
    ReplayStore,
    HoldStore,
    RunningRootStore,
    PlanRecoveryStore,
    OperatorStore {
  /** Resolves when the store answers; rejects with STORE_UNAVAILABLE. */
  ping(): Promise<void>
}
