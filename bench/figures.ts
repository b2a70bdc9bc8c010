/** What a benchmark measured: figures of each run, and the table of several runs. */
export interface Figure {
  readonly name: string
  readonly unit: string
  readonly value: number
}

export interface Row {
  readonly name: string
  readonly unit: string
  readonly min: number
  readonly median: number
  readonly max: number
}

/** Minimum, median and maximum of each figure over several runs. */
export function summarize(runs: readonly (readonly Figure[])[]): readonly Row[] {
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

export function printFigures(place: string, rows: readonly Row[]): void {
  const width = Math.max(...rows.map(({ name }) => name.length))
  console.log(place)
  console.log(
    `${'figure'.padEnd(width)}  ${'min'.padStart(10)}  ${'median'.padStart(10)}  ${'max'.padStart(10)}  unit`,
  )
  for (const { name, unit, min, median, max } of rows) {
    const cells = [min, median, max].map((value) => value.toFixed(value < 100 ? 1 : 0).padStart(10))
    console.log(`${name.padEnd(width)}  ${cells.join('  ')}  ${unit}`)
  }
}
