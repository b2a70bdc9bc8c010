/**
 * Rows as a table whose columns are aligned. Values came from strangers: what a terminal would obey instead of show is
 * replaced. Pure.
 */
export interface Column {
  readonly title: string
  readonly field: string
  /** Numbers end at the column's right edge. */
  readonly right?: boolean
}

const CONTROL = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu
const GAP = '  '

export function tableText(
  columns: readonly Column[],
  rows: readonly Readonly<Record<string, unknown>>[],
  headline: (text: string) => string = (text) => text,
): string {
  const cells = columns.map(({ title, field }) => [title, ...rows.map((row) => textOf(row[field]))])
  const widths = cells.map((column) => Math.max(...column.map((text) => text.length)))
  const lines = Array.from({ length: rows.length + 1 }, (_, line) =>
    columns
      .map(({ right }, index) => {
        const [text, width] = [cells[index]?.[line] ?? '', widths[index] ?? 0]
        return right === true ? text.padStart(width) : text.padEnd(width)
      })
      .join(GAP)
      .trimEnd(),
  )
  return [headline(lines[0] ?? ''), ...lines.slice(1)].join('\n')
}

function textOf(value: unknown): string {
  if (value === null || value === undefined) return '-'
  return (typeof value === 'string' ? value : JSON.stringify(value)).replace(CONTROL, '\u{fffd}')
}
