/**
 * What an archive on a locked bucket has besides segments and heartbeats, for one that a builder makes: a policy, a legal
 * hold of partition 1 that was applied, the receipt of a pushed checkpoint, and a verifier among its explaining files.
 */
import { hash } from 'node:crypto'
import { anchorKey } from '../../core/archive/anchor/anchor-keys.ts'
import { signReceipt } from '../../core/archive/anchor/receipt.ts'
import { encodeDocument } from '../../core/archive/documents.ts'
import type { Hold } from '../../core/archive/holds.ts'
import { FORMATS_KEY, numberedKey, verifierToolKey } from '../../core/archive/keys.ts'
import type { ArchiveBuilder, ArchiveBuilderOptions } from './archive-builder.ts'
import { ARCHIVE_START_MS } from './archive-records.ts'

const PERIOD_SECONDS = 864_000
/** Until then its data is locked. */
export const UNTIL_MS = ARCHIVE_START_MS + PERIOD_SECONDS * 1000
/** Of its policy: longer than genesis says. */
export const IDLE_SECONDS = 3600
export const TOOL_KEY = verifierToolKey('0.0.0')
export const POLICY_KEY = numberedKey('policy', 0n)
export const HOLD_KEYS = [0n, 1n].map((n) => numberedKey('holds', n))
/** After this round's heartbeat its checkpoint is pushed; the next heartbeat names the receipt. */
export const PUSHED_ROUND = 1
const TARGET = 'https://checkpoints.example'
export const RECEIPT_KEY = anchorKey(BigInt(PUSHED_ROUND), 'push', TARGET)

export const KEPT: ArchiveBuilderOptions = {
  retention: { mode: 'governance', until: new Date(UNTIL_MS).toISOString(), verified: true },
  files: { [FORMATS_KEY]: '# formats\n', [TOOL_KEY]: 'print("a verifier")\n' },
}

const CREATED_AT = new Date(ARCHIVE_START_MS).toISOString()
const PLACE = {
  format_version: 1,
  archive_id: 'test-archive',
  created_at: CREATED_AT,
  writer: 'test',
} as const

/** Its next heartbeats name both notes and a probe that passed. */
export async function signKept(builder: ArchiveBuilder): Promise<void> {
  const previous = builder.genesisSha256
  const policy = await builder.sign(
    POLICY_KEY,
    encodeDocument({
      ...{ ...PLACE, kind: 'policy', n: '0', previous, worm: 'required' },
      cadence: { active_seconds: 60, idle_seconds: IDLE_SECONDS },
      retention: { default: { mode: 'governance', period_seconds: PERIOD_SECONDS }, topics: {} },
    }),
  )
  const range = { topic: 'hooktrail.events.demo', topic_id: null, partition: 1, from: '0', to: null }
  const hold = await signHold(builder, { n: '0', previous, action: 'hold', range, applies: null })
  const holds = await signHold(builder, {
    ...{ n: '1', previous: hold, action: 'applied' },
    ...{ range: null, applies: '0' },
  })
  builder.worm = {
    ...{ result: 'pass', checked_at: CREATED_AT, checks: { control: 'pass' } },
    ...{ policy: { n: '0', sha256: policy }, holds: { n: '1', sha256: holds } },
  }
}

type HoldParts = Pick<Hold, 'n' | 'previous' | 'action' | 'range' | 'applies'>

function signHold(builder: ArchiveBuilder, parts: HoldParts): Promise<string> {
  const hold: Hold = { ...PLACE, kind: 'hold', hold_id: 'case', event_id: null, reason: null, ...parts }
  return builder.sign(numberedKey('holds', BigInt(parts.n)), encodeDocument(hold))
}

export async function pushCheckpoint(builder: ArchiveBuilder, n: bigint): Promise<void> {
  const receipt = await signReceipt(
    {
      ...{ kind: 'receipt', format_version: 1, archive_id: 'test-archive', heartbeat: String(n) },
      checkpoint_sha256: hash('sha256', builder.checkpoint, 'hex'),
      ...{ target: TARGET, pushed_at: new Date(builder.nowMs).toISOString() },
    },
    builder.signer,
  )
  await builder.put(RECEIPT_KEY, receipt)
  builder.anchors = [{ key: RECEIPT_KEY, sha256: hash('sha256', receipt, 'hex') }]
}
