/** One JSON log line as one line for people: time, level, message, then the fields. Colours where NO_COLOR allows them. */
import { colorsFor } from './colors.ts'

const TIME = /T(\d\d:\d\d:\d\d)/
const TEXT_CHARACTERS_MAX = 400

export const colors = colorsFor(process.stderr)

export function prettyLine(json: string): string {
  const { time, level, message, ...fields } = JSON.parse(json) as Record<string, unknown>
  const clock = TIME.exec(text(time))?.[1] ?? ''
  const rest = Object.entries(fields).map(
    ([name, value]) => ` ${colors.dim(`${name}=`)}${text(short(value))}`,
  )
  return `${colors.dim(clock)} ${levelText(text(level))} ${text(message)}${rest.join('')}\n`
}

function levelText(level: string): string {
  if (level === 'error') return colors.red(level)
  return level === 'warn' ? colors.yellow('warn ') : colors.dim(level.padEnd(5))
}

/** Of an error its code or message: the stack is in the JSON format. */
function short(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('message' in value)) return value
  return 'code' in value ? `${text(value.code)}: ${text(value.message)}` : value.message
}

function text(value: unknown): string {
  const plain = typeof value === 'string' ? value : JSON.stringify(value ?? null)
  return plain.length > TEXT_CHARACTERS_MAX ? `${plain.slice(0, TEXT_CHARACTERS_MAX)}…` : plain
}
