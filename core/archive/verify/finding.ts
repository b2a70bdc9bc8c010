/** What verification found, bounded. A finding is data for the report, never an exception. */

/** altered: exit 1 · loss: 2 · stale: 3 · worm: 4 · note: no effect on the exit code. */
export type Severity = 'altered' | 'loss' | 'stale' | 'worm' | 'note'

export type FindingCode =
  | 'genesis-missing'
  | 'note-invalid'
  | 'file-altered'
  | 'heartbeat-missing'
  | 'heartbeat-chain'
  | 'heartbeat-tree'
  | 'partition-table'
  | 'anchor-forged'
  | 'tile-altered'
  | 'tile-missing'
  | 'tile-waiting'
  | 'manifest-missing'
  | 'manifest-altered'
  | 'manifest-chain'
  | 'manifest-foreign'
  | 'data-missing'
  | 'data-altered'
  | 'rows-altered'
  | 'running-contradicted'
  | 'running-unchecked'
  | 'not-read-again'
  | 'foreign'
  | 'not-a-file'
  | 'delete-marker'
  | 'several-versions'
  | 'orphan'
  | 'note-missing'
  | 'note-chain'
  | 'key-window'
  | 'lock-weakened'
  | 'hold-removed'
  | 'expired'
  | 'lock-not-witnessed'
  | 'gap-declared'
  | 'stale'
  | 'truncated'
  | 'checkpoint-contradicted'
  | 'worm-not-in-force'
  | 'unwitnessed'
  | 'time-not-witnessed'

export interface Finding {
  readonly code: FindingCode
  readonly severity: Severity
  /** Key of the object, or a name for what is missing as a whole. */
  readonly object: string
  readonly offset?: string
  readonly text: string
}

/** Beyond it findings are counted only: a destroyed archive must not fill the memory. */
const FINDINGS_MAX = 1000

export class Findings {
  readonly #kept: Finding[] = []
  readonly #seen = new Set<string>()
  readonly #severities = new Set<Severity>()
  #dropped = 0

  /** The same code on the same object counts once: two passes may meet one fault. */
  add(finding: Finding): void {
    this.#severities.add(finding.severity)
    const identity = `${finding.code} ${finding.object}`
    if (this.#seen.has(identity)) return
    if (this.#kept.length >= FINDINGS_MAX) {
      this.#dropped += 1
      return
    }
    this.#seen.add(identity)
    this.#kept.push(finding)
  }

  altered(code: FindingCode, object: string, text: string): void {
    this.add({ code, severity: 'altered', object, text })
  }

  note(code: FindingCode, object: string, text: string): void {
    this.add({ code, severity: 'note', object, text })
  }

  has(severity: Severity): boolean {
    return this.#severities.has(severity)
  }

  get kept(): readonly Finding[] {
    return this.#kept
  }

  get dropped(): number {
    return this.#dropped
  }
}
