/** Named leases: who is trying. For liveness only; what must not happen twice is fenced elsewhere. */
import type { LeaseStore } from '../../../core/ports/lease-store.ts'
import type { Queryable } from '../database.ts'

/** A lease that lasts longer than one can was given before the database's clock went back, as in a failover: it is over. */
export const LEASE_LENGTHS_MAX = 2

const ACQUIRE = {
  name: 'jobs_acquire_lease',
  text: `INSERT INTO leases AS held (name, owner, until)
         VALUES ($1, $2, now() + $3::float8 * interval '1 millisecond')
         ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until
         WHERE held.owner = excluded.owner OR held.until <= now()
            OR held.until > now() + ${LEASE_LENGTHS_MAX} * $3::float8 * interval '1 millisecond' RETURNING name`,
}

export function createLeaseStore(database: Queryable): LeaseStore {
  return {
    acquireLease: async (name, owner, ttlMs) =>
      (await database.query(ACQUIRE, [name, owner, ttlMs])).length > 0,
    releaseLease: async (name, owner) => {
      await database.query('DELETE FROM leases WHERE name = $1 AND owner = $2', [name, owner])
    },
  }
}
