/**
 * A C2SP checkpoint that somebody kept, against the tree that is made again from genesis: at its size the tree must have
 * its root, and so everything that it covers is still there, in the same order.
 */
import type { Heartbeat } from '../manifest.ts'
import type { TreeCheckpoint } from '../tree/tree-checkpoint.ts'
import type { Findings } from './finding.ts'

const NAME = 'checkpoint'

export class KeptTree {
  readonly #kept: TreeCheckpoint
  #isMet = false

  constructor(kept: TreeCheckpoint) {
    this.#kept = kept
  }

  /** Every heartbeat that can be believed, in order. */
  see({ tree_size, tree_root }: Heartbeat, findings: Findings): void {
    if (BigInt(tree_size) !== this.#kept.size) return
    this.#isMet = true
    if (tree_root !== this.#kept.root)
      findings.altered('checkpoint-contradicted', NAME, `the tree of size ${tree_size} has another root`)
  }

  end(archiveId: string, last: Heartbeat | null, findings: Findings): void {
    const { size } = this.#kept
    if (archiveId !== this.#kept.archiveId) {
      findings.altered('checkpoint-contradicted', NAME, 'the checkpoint is of another archive')
    } else if (BigInt(last?.tree_size ?? 0) < size) {
      const text = `the checkpoint knows ${String(size)} manifests, the archive ends with ${last?.tree_size ?? '0'}`
      findings.add({ code: 'truncated', severity: 'stale', object: NAME, text })
    } else if (!this.#isMet) {
      findings.altered('checkpoint-contradicted', NAME, `no heartbeat has a tree of size ${String(size)}`)
    }
  }
}
