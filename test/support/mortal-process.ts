/**
 * One life of an archiver's process, as its ports see it: a fault is planned for a write, and where that is death nothing
 * that the process tries afterwards comes through. Behind the ports are the real log, stores and database.
 */
import type { ArchiverDeps } from '../../archiver/archiver-context.ts'
import { crashPointOf, type CrashPoint, type PortName } from './crash-points.ts'

export type Moment = 'before' | 'after'

/** The next `times` calls of the write: the process dies, an error is answered, or the answer is another than the true one. */
export interface Fault {
  readonly point: CrashPoint
  readonly moment: Moment
  readonly times: number
  readonly effect: Effect
}

export type Effect = 'death' | { readonly error: Error } | { readonly answer: unknown }

/** Shared by the lives that follow each other, and by those side by side. */
export class FaultPlan {
  /** Writes that were tried. */
  readonly reached = new Set<CrashPoint>()
  /** What happened, in order. */
  readonly struck: string[] = []
  readonly #left: Map<Fault, number>

  constructor(faults: readonly Fault[]) {
    this.#left = new Map(faults.map((fault) => [fault, fault.times]))
  }

  strike(point: CrashPoint, moment: Moment): Effect | null {
    this.reached.add(point)
    for (const [fault, left] of this.#left) {
      if (fault.point !== point || fault.moment !== moment || left === 0) continue
      this.#left.set(fault, left - 1)
      this.struck.push(`${moment} ${point}`)
      return fault.effect
    }
    return null
  }

  /** Faults that never came. */
  get unstruck(): readonly CrashPoint[] {
    return [...this.#left].filter(([{ times }, left]) => left === times).map(([{ point }]) => point)
  }
}

class DeathError extends Error {}

export class MortalProcess {
  readonly #plan: FaultPlan
  #isDead = false

  constructor(plan: FaultPlan) {
    this.#plan = plan
  }

  get isDead(): boolean {
    return this.#isDead
  }

  die(): void {
    this.#isDead = true
  }

  /** The same ports as this process may use them. */
  portsOf(deps: ArchiverDeps): ArchiverDeps {
    const { archive, log, store, replaceableLog, worm, keySource, anchors = [] } = deps
    const locks = worm && {
      ...worm,
      ...{ store: this.#wrap('archive', worm.store), probe: this.#wrap('probe', worm.probe) },
    }
    return {
      ...deps,
      archive: this.#wrap('archive', archive),
      log: this.#wrap('log', log),
      store: store && this.#wrap('store', store),
      anchors: anchors.map((anchor) => this.#wrap('anchor', anchor)),
      ...(replaceableLog && { replaceableLog: this.#wrap('log', replaceableLog) }),
      ...(keySource && { keySource: this.#wrap('keys', keySource) }),
      ...(locks && { worm: locks }),
    }
  }

  #wrap<Port extends object>(name: PortName, port: Port): Port {
    return new Proxy(port, {
      get: (target, method) => {
        const member: unknown = Reflect.get(target, method, target)
        if (typeof member !== 'function' || typeof method === 'symbol') return member
        return (...given: unknown[]): unknown => {
          const call = (): unknown => Reflect.apply(member, target, given)
          if (this.#isDead) throw new DeathError()
          const point = crashPointOf(name, method, given)
          return point === null ? call() : this.#write(point, call)
        }
      },
    })
  }

  async #write(point: CrashPoint, call: () => unknown): Promise<unknown> {
    const before = this.#plan.strike(point, 'before')
    if (before !== null) return this.#suffer(before)
    const answer = await call()
    const after = this.#plan.strike(point, 'after')
    return after === null ? answer : this.#suffer(after)
  }

  #suffer(effect: Effect): unknown {
    if (effect === 'death') {
      this.die()
      throw new DeathError()
    }
    if ('error' in effect) throw effect.error
    return effect.answer
  }
}
