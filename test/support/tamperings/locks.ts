/** What somebody with every right on the bucket may do to an archive under Object Lock, and what of it must be named. */
import type { FindingCode } from '../../../core/archive/verify/finding.ts'
import type { LockedArchive } from '../locked-archive.ts'

export interface LockTampering {
  readonly how: string
  readonly damage: (archive: LockedArchive) => Promise<void>
  readonly code: FindingCode
  readonly object: (archive: LockedArchive) => string
}

const KINDS = {
  'a data object': 'data/',
  'a manifest': 'segments/',
  'a heartbeat': 'heartbeats/',
  genesis: 'genesis.note',
  'a policy': 'policy/',
} as const

const MISSING = {
  ...{ 'data/': 'data-missing', 'segments/': 'manifest-missing', 'heartbeats/': 'heartbeat-missing' },
  ...{ 'genesis.note': 'genesis-missing', 'policy/': 'note-missing' },
} as const satisfies Record<(typeof KINDS)[keyof typeof KINDS], FindingCode>

const TAIL = ['data/', 'segments/', 'heartbeats/'] as const

/** Behind the clock of the store, and before any lock of a test runs out. */
const inAnHour = (): number => Date.now() + 3_600_000

export const LOCK_TAMPERINGS: readonly LockTampering[] = [
  ...Object.entries(KINDS).flatMap(([kind, prefix]): LockTampering[] => [
    {
      how: `a shortened lock of ${kind}`,
      damage: (archive) => archive.shorten(archive.key(prefix), inAnHour()),
      code: 'lock-weakened',
      object: (archive) => archive.key(prefix),
    },
    {
      how: `${kind} that was removed and written again without a lock`,
      damage: (archive) => archive.rewriteUnlocked(archive.key(prefix)),
      code: 'lock-weakened',
      object: (archive) => archive.key(prefix),
    },
    {
      how: `a new version over ${kind}`,
      damage: (archive) => archive.write(archive.key(prefix), 'forged'),
      // Without a genesis that can be believed nothing more is asked.
      code: prefix === 'genesis.note' ? 'note-invalid' : 'several-versions',
      object: (archive) => archive.key(prefix),
    },
    {
      how: `a delete marker over ${kind}`,
      damage: (archive) => archive.mark(archive.key(prefix)),
      code: 'delete-marker',
      object: (archive) => archive.key(prefix),
    },
    {
      how: `${kind} that was removed for good`,
      damage: (archive) => archive.removeVersion(archive.key(prefix)),
      code: MISSING[prefix],
      object: (archive) => archive.key(prefix),
    },
  ]),
  {
    how: 'a tail that is hidden behind markers',
    damage: async (archive) => {
      for (const prefix of TAIL) await archive.mark(archive.key(prefix, -1))
    },
    code: 'delete-marker',
    object: (archive) => archive.key('heartbeats/', -1),
  },
  {
    how: 'an object that was hidden and written again with the same bytes',
    damage: async (archive) => {
      const key = archive.key('data/')
      const bytes = await archive.bytes(key)
      await archive.mark(key)
      await archive.write(key, bytes)
    },
    code: 'several-versions',
    object: (archive) => archive.key('data/'),
  },
  {
    how: 'a second version with the same bytes',
    damage: (archive) => archive.writeAgain(archive.key('data/')),
    code: 'several-versions',
    object: (archive) => archive.key('data/'),
  },
  {
    how: 'a policy that nobody signed',
    damage: (archive) => archive.write('policy/000000000001.note', 'forged'),
    code: 'note-invalid',
    object: () => 'policy/000000000001.note',
  },
  {
    how: 'a hold that nobody signed',
    damage: (archive) => archive.write('holds/000000000007.note', 'forged'),
    code: 'note-invalid',
    object: () => 'holds/000000000007.note',
  },
]

/** Of an archive under an applied hold. */
export const HELD_TAMPERINGS: readonly LockTampering[] = [
  ...(['data/', 'segments/'] as const).map((prefix): LockTampering => ({
    how: `a hold that was lifted from an object below ${prefix}`,
    damage: (archive) => archive.release(archive.key(prefix)),
    code: 'hold-removed',
    object: (archive) => archive.key(prefix),
  })),
  {
    how: 'a hold that was cleared away',
    damage: (archive) => archive.removeVersion(archive.key('holds/')),
    code: 'note-missing',
    object: (archive) => archive.key('holds/'),
  },
]
