/**
 * What a heartbeat says about the deletion lock: what the last probe of the store found, and which notes about locks were
 * in force when it was signed, so that none of these can be taken away unseen.
 */

/** Each is one attack that the store must refuse, or one thing it must state; `control` shows that a refusal is the lock's. */
export const PROBE_CHECKS = [
  'versioning',
  'control',
  'lock-stated',
  'delete-locked',
  'extend',
  'shorten',
  'downgrade',
  'hold',
  'create-once',
  'create-race',
  'checksum',
] as const

export type ProbeCheck = (typeof PROBE_CHECKS)[number]

/** unproven: the answer would have been the same without a lock, or could not be asked for. */
export const PROBE_VERDICTS = ['pass', 'fail', 'unproven'] as const

export type ProbeVerdict = (typeof PROBE_VERDICTS)[number]

export const WORM_RESULTS = ['off', ...PROBE_VERDICTS] as const

export interface Worm {
  readonly result: (typeof WORM_RESULTS)[number]
  /** When the probe ran; null where `result` is off. */
  readonly checked_at: string | null
  readonly checks: Readonly<Record<string, ProbeVerdict>>
  /** Newest note of each kind; null while there is none. */
  readonly policy: NumberedNote | null
  readonly holds: NumberedNote | null
}

export interface NumberedNote {
  readonly n: string
  /** Of the note's bytes, hex. */
  readonly sha256: string
}

export function wormResult(worm: 'off' | Worm): Worm['result'] {
  return worm === 'off' ? 'off' : worm.result
}

/** A single failure fails all; what is not shown is not taken for true. */
export function resultOf(checks: Readonly<Record<string, ProbeVerdict>>): ProbeVerdict {
  const verdicts = PROBE_CHECKS.map((check) => checks[check] ?? 'unproven')
  if (verdicts.includes('fail')) return 'fail'
  return verdicts.includes('unproven') ? 'unproven' : 'pass'
}
