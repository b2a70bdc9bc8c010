/** Lengths of time for people: the two largest units that matter, such as `6 d 23 h` or `38 s`. Pure. */
const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
  ['s', 1],
] as const

export function spanText(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  const at = UNITS.findIndex(([, size]) => whole >= size)
  const [larger, smaller] = at === -1 ? [UNITS[3]] : [UNITS[at], UNITS[at + 1]]
  if (larger === undefined) return '0 s'
  const [name, size] = larger
  const rest = smaller === undefined ? 0 : Math.floor((whole % size) / smaller[1])
  return `${Math.floor(whole / size)} ${name}${rest === 0 || smaller === undefined ? '' : ` ${rest} ${smaller[0]}`}`
}
