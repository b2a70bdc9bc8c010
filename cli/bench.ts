/**
 * `hooktrail bench`: starts a real installation in a temporary folder, loads it from loopback, and prints every
 * figure as minimum, median and maximum over several runs, with the durable settings beside them. One box as it is, or
 * before the services of a larger size.
 */
import { Command } from 'commander'
import { readFileSync } from 'node:fs'
import type { Services } from '../bench/installation.ts'
import { runIsolation } from '../bench/isolation.ts'
import { printFigures, summarize, type Figure } from '../bench/figures.ts'
import { printProfiles, readProfiles } from '../bench/profile.ts'
import { runScenarios } from '../bench/scenarios.ts'

const ONE_BOX = 'one box, own Postgres: fsync on, synchronous_commit on'

interface BenchFlags {
  readonly runs: string
  readonly seconds: string
  readonly backlog: string
  readonly rate: string
  readonly services?: string
  readonly profile?: string
  readonly json?: boolean
}

type IsolationFlags = Pick<BenchFlags, 'runs' | 'json'> & { readonly events: string }

export function benchCommand(): Command {
  return new Command('bench')
    .addCommand(isolationCommand())
    .description(
      'measure this machine: ingest, delivery, latency, idle cost, with references in the same run',
    )
    .option('--runs <n>', 'how often everything is measured', '3')
    .option('--seconds <n>', 'length of each stage', '10')
    .option('--backlog <n>', 'events of the backlog that is drained', '20000')
    .option('--rate <n>', 'events a second of the steady stage', '2500')
    .option(
      '--services <file>',
      'YAML with digest_key, database, log, queue and archive: servers for this run alone, what is sent stays in them',
    )
    .option('--profile <folder>', 'sample the CPU there: flame charts for a browser, and a table here')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  hooktrail bench\n  hooktrail bench --runs 1 --seconds 5 --json\n  hooktrail bench --runs 1 --profile ./profile',
    )
    .action(async ({ services, ...flags }: BenchFlags) => {
      await bench({
        runs: Number(flags.runs),
        seconds: Number(flags.seconds),
        backlog: Number(flags.backlog),
        steadyPerSecond: Number(flags.rate),
        json: flags.json === true,
        profileFolder: flags.profile ?? null,
        // Whose servers they are is not known here, so only hooktrail's own CPU is counted.
        openServices: () =>
          Promise.resolve(
            services === undefined
              ? null
              : { yaml: readFileSync(services, 'utf8'), env: {}, usage: () => new Map() },
          ),
      })
    })
}

/** `--runs` and `--json` are those of `bench`. */
function isolationCommand(): Command {
  return new Command('isolation')
    .description('what one handler among ten that hangs, fails or refuses costs the other nine')
    .option('--events <n>', 'events that each handler gets', '4000')
    .addHelpText('after', '\nExamples:\n  hooktrail bench isolation\n  hooktrail bench isolation --runs 5')
    .action(async (_: object, command: Command) => {
      const flags = command.optsWithGlobals<IsolationFlags>()
      const runs: (readonly Figure[])[] = []
      for (let run = 1; run <= Number(flags.runs); run++) {
        const onStage = stageOf(run, Number(flags.runs))
        runs.push(await runIsolation({ events: Number(flags.events), onStage }))
      }
      print(runs, ONE_BOX, flags.json === true)
    })
}

export interface BenchOptions {
  readonly runs: number
  readonly seconds: number
  readonly backlog: number
  readonly steadyPerSecond: number
  readonly json: boolean
  readonly profileFolder: string | null
  /** Asked once for each run; null: one box. */
  readonly openServices: () => Promise<(Services & Partial<AsyncDisposable>) | null>
}

export async function bench({ runs: count, json, openServices, ...options }: BenchOptions): Promise<void> {
  const runs: (readonly Figure[])[] = []
  let place = ONE_BOX
  for (let run = 1; run <= count; run++) {
    const services = await openServices()
    if (services !== null) place = 'before the given services, durable as these are set'
    try {
      runs.push(await runScenarios({ ...options, services, onStage: stageOf(run, count) }))
    } finally {
      await services?.[Symbol.asyncDispose]?.()
    }
  }
  print(runs, place, json)
  if (options.profileFolder !== null) printProfiles(readProfiles(options.profileFolder))
}

function stageOf(run: number, runs: number): (stage: string) => void {
  return (stage) => {
    process.stderr.write(`run ${run} of ${runs}: ${stage}\n`)
  }
}

function print(runs: readonly (readonly Figure[])[], place: string, json: boolean): void {
  const rows = summarize(runs)
  if (json) console.log(JSON.stringify(rows))
  else printFigures(`${place}; generator and sink on the same cores`, rows)
}
