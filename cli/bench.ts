/**
 * `hooktrail bench`: starts a real installation in a temporary folder, loads it from loopback, and prints every
 * figure as minimum, median and maximum over several runs, with the durable settings beside them.
 */
import { Command } from 'commander'
import { runScenarios, type Figure } from '../bench/scenarios.ts'

interface BenchFlags {
  readonly runs: string
  readonly seconds: string
  readonly backlog: string
  readonly rate: string
  readonly json?: boolean
}

export function benchCommand(): Command {
  return new Command('bench')
    .description(
      'measure this machine: ingest, delivery, latency, idle cost, with references in the same run',
    )
    .option('--runs <n>', 'how often everything is measured', '3')
    .option('--seconds <n>', 'length of each stage', '10')
    .option('--backlog <n>', 'events of the backlog that is drained', '20000')
    .option('--rate <n>', 'events a second of the steady stage', '2500')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExamples:\n  hooktrail bench\n  hooktrail bench --runs 1 --seconds 5 --json')
    .action(async (flags: BenchFlags) => {
      const runs: (readonly Figure[])[] = []
      for (let run = 1; run <= Number(flags.runs); run++) {
        runs.push(
          await runScenarios({
            seconds: Number(flags.seconds),
            backlog: Number(flags.backlog),
            steadyPerSecond: Number(flags.rate),
            onStage: (stage) => {
              process.stderr.write(`run ${run} of ${flags.runs}: ${stage}\n`)
            },
          }),
        )
      }
      const rows = summarize(runs)
      if (flags.json === true) console.log(JSON.stringify(rows))
      else printTable(rows)
    })
}

interface Row {
  readonly name: string
  readonly unit: string
  readonly min: number
  readonly median: number
  readonly max: number
}

function summarize(runs: readonly (readonly Figure[])[]): readonly Row[] {
  return (runs[0] ?? []).map(({ name, unit }) => {
    const values = runs
      .flatMap((run) => run.filter((figure) => figure.name === name).map(({ value }) => value))
      .sort((a, b) => a - b)
    return {
      name,
      unit,
      min: values[0] ?? 0,
      median: values[Math.floor(values.length / 2)] ?? 0,
      max: values.at(-1) ?? 0,
    }
  })
}

function printTable(rows: readonly Row[]): void {
  const width = Math.max(...rows.map(({ name }) => name.length))
  console.log('one box, own Postgres: fsync on, synchronous_commit on; generator and sink on the same cores')
  console.log(
    `${'figure'.padEnd(width)}  ${'min'.padStart(10)}  ${'median'.padStart(10)}  ${'max'.padStart(10)}  unit`,
  )
  for (const { name, unit, min, median, max } of rows) {
    const cells = [min, median, max].map((value) => value.toFixed(value < 100 ? 1 : 0).padStart(10))
    console.log(`${name.padEnd(width)}  ${cells.join('  ')}  ${unit}`)
  }
}
