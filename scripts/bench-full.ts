/**
 * `npm run bench:full`: `hooktrail bench` before a broker, Redis, Postgres and an object store that are started for it on
 * this machine, each run on new ones, with the CPU of each. `-- <runs> <seconds> <backlog> <profile>` as the command has them.
 */
import { usageOfChildren } from '../bench/process-usage.ts'
import { bench } from '../cli/bench.ts'
import { openSize } from '../test/support/sizes.ts'

const COMMANDS = new Set(['java', 'redis-server', 'postgres', 'versitygw'])
const STEADY_PER_SECOND = 2_000
/** As it is by default: an archive that rolls for every test would be measured instead. */
const ARCHIVE = 'roll: { age: 10m }'

const [runs = 3, seconds = 10, backlog = 20_000] = process.argv.slice(2, 5).map(Number)
const profileFolder = process.argv[5] ?? null

await bench({
  ...{ runs, seconds, backlog, steadyPerSecond: STEADY_PER_SECOND, json: false, profileFolder },
  openServices: async () => {
    const size = await openSize('full', ARCHIVE)
    if (typeof size === 'string') throw new Error(size)
    return {
      yaml: size.config,
      env: size.env,
      usage: () => usageOfChildren(process.pid, COMMANDS),
      [Symbol.asyncDispose]: () => size[Symbol.asyncDispose](),
    }
  },
})
