/**
 * A replay is a handler of its own inside the store, named after the handler that it delivers to and its id. Names of
 * handlers hold no dot (core/config/check-config.ts), so that each name is read in one way, and a job's id is that of
 * every other job: event id, dot, name.
 */
const SEPARATOR = '.'

export function replayName(handler: string, replayId: string): string {
  return `${handler}${SEPARATOR}${replayId}`
}

/** The configured handler, of a replay's name or its own. */
export function handlerOf(name: string): string {
  const at = name.indexOf(SEPARATOR)
  return at === -1 ? name : name.slice(0, at)
}

/** Null: it is no replay. */
export function replayIdOf(name: string): string | null {
  const at = name.indexOf(SEPARATOR)
  return at === -1 ? null : name.slice(at + SEPARATOR.length)
}
