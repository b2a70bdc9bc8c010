/** A process that starts hooktrail's own Postgres in the folder given, says so, and holds it until it is ended. */
import { startOwnPostgres } from '../../adapters/postgres/own-postgres.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import { silentLogger } from './postgres.ts'

const home = process.argv[2] ?? ''
try {
  const postgres = await startOwnPostgres({ home, clock: systemClock, logger: silentLogger })
  console.log(`started ${postgres.pid}`)
  process.once('SIGTERM', () => {
    void postgres[Symbol.asyncDispose]()
  })
} catch (error) {
  console.log(error instanceof HooktrailError ? `refused ${error.code}` : String(error))
}
