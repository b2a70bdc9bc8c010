/** How the command line says what went wrong: four parts on stderr, and an exit code of 64 and above (sysexits). */
import { catalogue, type ErrorCode } from '../core/error/catalogue.ts'
import { isHooktrailError, type HooktrailError } from '../core/error/hooktrail-error.ts'

const EXIT_USAGE = 64
const EXIT_DATA = 65
/** An archive, or a file about it, that cannot be read. */
const EXIT_NO_INPUT = 66
const EXIT_UNAVAILABLE = 69
const EXIT_SOFTWARE = 70
const EXIT_CONFIG = 78
/** Of a chain of causes; the rest is of interest to a debugger alone. */
const CAUSES_MAX = 4
const CAUSE_CHARACTERS_MAX = 300

const USAGE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'API_INVALID_REQUEST',
  'API_REASON_REQUIRED',
  'ARCHIVE_OTHER_KEY',
  'ARCHIVE_TOPIC_UNKNOWN',
  'DISPATCHER_UNKNOWN_HANDLER',
  'DISPATCHER_UNKNOWN_POOL',
  'API_TOKEN_MISSING',
  'INGRESS_UNKNOWN_SOURCE',
  'KEYS_PLACE_REFUSED',
  'KEYS_ROTATION_IMPOSSIBLE',
  'SEND_FILE_UNREADABLE',
  'REPLAY_FILE_UNWRITABLE',
])

const CONFIG: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'DATABASE_URL_MISSING',
  'DIGEST_KEY_MISSING',
  'MOVE_KEY_DIFFERS',
  'MOVE_UNSUPPORTED',
])

const REFUSALS: ReadonlySet<ErrorCode> = new Set([
  'API_UNAUTHORIZED',
  'API_NOT_FOUND',
  'API_JOB_NOT_FOUND',
  'API_HANDLER_NOT_FOUND',
  'API_HOLD_NOT_FOUND',
  'API_HOLD_WITHOUT_LOCK',
  'API_RELEASE_REFUSED',
  'API_SOURCE_NOT_FOUND',
  'API_NO_ROUTE',
  'API_JOB_NOT_DEAD',
  'API_REPLAY_NOT_FOUND',
  'API_REPLAY_REFUSED',
  'REPLAY_TOPIC_REFUSED',
  'API_REPLAYS_TOO_MANY',
  'API_PAYLOAD_GONE',
  'API_REQUEST_REFUSED',
])

/** Of `details`: what to do in this one case, in place of what the catalogue says for all. */
export const CASE_FIX = 'to_do'

export function reportError(error: unknown): number {
  if (!isHooktrailError(error)) {
    process.stderr.write(
      `hooktrail: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    )
    return EXIT_SOFTWARE
  }
  process.stderr.write(`${errorText(error)}\n`)
  return exitCodeOf(error)
}

export function errorText(error: HooktrailError): string {
  const { what, events, fix, read } = catalogue[error.code]
  const { [CASE_FIX]: caseFix, ...rest } = error.details
  const details = Object.entries(rest).map(([name, value]) => `  ${name}: ${plain(value)}`)
  const causes = causesOf(error.cause)
  return [
    `hooktrail: ${what} (${error.code})`,
    ...details,
    ...(causes.length === 0 ? [] : [`  cause: ${causes.join(': ')}`]),
    `  for events: ${events}`,
    `  to do: ${typeof caseFix === 'string' ? caseFix : fix}`,
    `  read on: ${read}`,
  ].join('\n')
}

/** What lies below says more: of a request the first is "fetch failed", the next one why. An error for several addresses has no words. */
function causesOf(error: unknown, depth = 0): readonly string[] {
  if (!(error instanceof Error) || depth === CAUSES_MAX) return []
  const below: unknown = error instanceof AggregateError ? error.errors.at(-1) : error.cause
  // Those of libraries may have a line for each of a hundred faults.
  const said = error.message.replaceAll(/\s+/g, ' ').slice(0, CAUSE_CHARACTERS_MAX)
  return [...(said === '' ? [] : [said]), ...causesOf(below, depth + 1)]
}

function plain(value: unknown): string {
  if (Array.isArray(value)) return value.map(plain).join('; ')
  return typeof value === 'string' ? value : JSON.stringify(value)
}

export function exitCodeOf({ code }: HooktrailError): number {
  if (code.startsWith('CONFIG_') || CONFIG.has(code)) return EXIT_CONFIG
  if (USAGE.has(code)) return EXIT_USAGE
  if (code.startsWith('ARCHIVE_')) return EXIT_NO_INPUT
  if (REFUSALS.has(code)) return EXIT_DATA
  return EXIT_UNAVAILABLE
}
