/**
 * Every write that an archiver makes, by name: the one list of the places where it can die or be failed. Each method of the
 * ports that it is handed is a read, or a write with a name; one that is neither, or a key that no name covers, ends the test,
 * so that a new write needs a crash point before it can be run.
 */
import assert from 'node:assert/strict'
import type { AnchorTarget } from '../../core/ports/anchor-target.ts'
import type {
  ArchiveStore,
  LockingArchive,
  LockProbe,
  VersionedArchive,
} from '../../core/ports/archive-store.ts'
import type { EventLog, ReplaceableLog } from '../../core/ports/event-log.ts'
import type { JobStore } from '../../core/ports/job-store.ts'
import type { KeySource } from '../../core/ports/signer.ts'

/** Objects by the beginning of their keys; all else by port and method. */
export const CRASH_POINTS = [
  ...(['README.txt', 'formats.md', 'tools/', 'genesis.note', 'policy/', 'holds/', 'keys/'] as const),
  ...(['data/', 'segments/', 'heartbeats/', 'tlog/', 'anchors/'] as const),
  ...(['lock.extend', 'lock.hold', 'lock.probe', 'anchor.submit', 'log.cut', 'log.replace'] as const),
  ...(['store.archive', 'store.heartbeat', 'store.lease', 'store.release', 'store.hold'] as const),
  ...(['store.recover', 'store.roots', 'keys.promote'] as const),
] as const

export type CrashPoint = (typeof CRASH_POINTS)[number]

type Call = 'read' | 'never' | CrashPoint | ((given: readonly unknown[]) => CrashPoint)
type Calls<Port> = Readonly<Record<Extract<keyof Port, string>, Call>>
type Data = 'driver' | 'location'

const ARCHIVE: Calls<Omit<ArchiveStore & VersionedArchive & LockingArchive, Data>> = {
  create: ([object]) => pointOfObject(object),
  ...({ read: 'read', open: 'read', head: 'read', list: 'read' } as const),
  ...({ listVersions: 'read', protectionOf: 'read' } as const),
  ...({ extendLock: 'lock.extend', setHold: 'lock.hold' } as const),
}

const LOG: Calls<Omit<EventLog & ReplaceableLog, Data>> = {
  ...({ ensureTopics: 'never', append: 'never' } as const),
  ...({ topics: 'read', read: 'read', bounds: 'read', offsetAt: 'read', epochEnd: 'read' } as const),
  whileThere: 'read',
  ...({ diskUsage: 'read', truncate: 'log.cut', replaceTopic: 'log.replace' } as const),
}

/** The archiver knows a small part of it: what is not listed may not be called. */
const STORE: Partial<Calls<JobStore>> = {
  ...({ rememberedHeartbeat: 'read', openHoldRequests: 'read', storeState: 'read' } as const),
  ...({ notedOffsets: 'read', absentFacts: 'read', runningRoots: 'read' } as const),
  postRunningRoots: 'store.roots',
  ...({ rememberArchive: 'store.archive', rememberHeartbeat: 'store.heartbeat' } as const),
  ...({ acquireLease: 'store.lease', releaseLease: 'store.release' } as const),
  ...({ markHoldSigned: 'store.hold', beginRecovery: 'store.recover' } as const),
}

export const PORT_CALLS = {
  archive: ARCHIVE,
  log: LOG,
  store: STORE,
  probe: { run: 'lock.probe' } satisfies Calls<LockProbe>,
  keys: { read: 'read', promote: 'keys.promote' } satisfies Calls<KeySource>,
  anchor: { submit: 'anchor.submit' } satisfies Calls<Omit<AnchorTarget, 'kind' | 'name'>>,
} as const satisfies Readonly<Record<string, Readonly<Partial<Record<string, Call>>>>>

export type PortName = keyof typeof PORT_CALLS

/** Null for what writes nothing. */
export function crashPointOf(port: PortName, method: string, given: readonly unknown[]): CrashPoint | null {
  const calls: Readonly<Partial<Record<string, Call>>> = PORT_CALLS[port]
  const call = calls[method]
  assert(call !== undefined && call !== 'never', `${port}.${method} is no read and has no crash point`)
  if (call === 'read') return null
  return typeof call === 'function' ? call(given) : call
}

function pointOfObject(object: unknown): CrashPoint {
  assert(typeof object === 'object' && object !== null && 'key' in object)
  const key = String(object.key)
  const point = CRASH_POINTS.find((name) => key === name || (name.endsWith('/') && key.startsWith(name)))
  assert(point !== undefined, `a create of ${key} has no crash point`)
  return point
}
