/** Reading request headers in the order and spelling in which they came. A header may come several times. */
export type HeaderPairs = readonly (readonly [name: string, value: string])[]

/** First value of a header; `name` in lower case. */
export function headerValue(headers: HeaderPairs, name: string): string | null {
  for (const [candidate, value] of headers)
    if (candidate.length === name.length && candidate.toLowerCase() === name) return value
  return null
}

/** Every value of a header, in order; `name` in lower case. */
export function headerValues(headers: HeaderPairs, name: string): string[] {
  const values: string[] = []
  for (const [candidate, value] of headers)
    if (candidate.length === name.length && candidate.toLowerCase() === name) values.push(value)
  return values
}
