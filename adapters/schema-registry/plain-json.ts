/**
 * A decoded value as JSON text that people expect: integers in full, also those that a double cannot hold, bytes as
 * base64. Bounded by whoever gives the value; the text is counted by whoever keeps it.
 */
export function plainJson(value: unknown): string {
  if (typeof value === 'bigint') return String(value)
  if (Buffer.isBuffer(value)) return JSON.stringify(value.toString('base64'))
  if (Array.isArray(value)) return `[${value.map(plainJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value ?? null)
  const members = Object.entries(value).map(
    ([name, member]) => `${JSON.stringify(name)}:${plainJson(member)}`,
  )
  return `{${members.join(',')}}`
}
