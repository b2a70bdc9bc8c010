/**
 * Times as people write them: ISO 8601 with at least a day, UTC where no zone is said. `Date.parse` alone takes
 * `week 12` for a month of 2001 and the 30th of February for the 2nd of March, and what is chosen by such a time is
 * delivered again or discarded.
 */
const WRITTEN = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(Z|[+-]\d\d:?\d\d)?|Z)?$/i

/** Milliseconds since the epoch, or null when the text is no time. */
export function parseWrittenTime(text: string): number | null {
  const [, year = '', month = '', day = '', clock = '00:00', zone = 'Z'] = WRITTEN.exec(text) ?? []
  const ms = Date.parse(`${year}-${month}-${day}T${clock}${zone.toUpperCase()}`)
  return Number.isNaN(ms) || Number(day) > daysOf(Number(year), Number(month)) ? null : ms
}

function daysOf(year: number, month: number): number {
  return new Date(Date.UTC(year, month, 0)).getUTCDate()
}
