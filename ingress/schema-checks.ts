/**
 * The schema checks of all sources, and the loop that keeps the newest versions at hand beside requests: no request waits
 * for it. A registry that does not answer is asked again soon, and once for all sources.
 */
import type { Clock } from '../core/clock.ts'
import type { SourceConfig } from '../core/config/config.ts'
import type { Logger } from '../core/log.ts'
import type { SchemaRegistry } from '../core/ports/schema-registry.ts'
import { ASK_AGAIN_MS, SchemaCheck } from './schema-check.ts'

/** A new version is taken up this much later. */
export const REFRESH_MS = 60_000

export interface SchemaChecksDeps {
  /** Null: none is configured, and no source has a schema. */
  readonly registry: SchemaRegistry | null
  readonly clock: Clock
  readonly logger: Logger
}

export class SchemaChecks {
  readonly #clock: Clock
  readonly #checks = new Map<string, SchemaCheck>()
  readonly #looked = Promise.withResolvers<void>()

  constructor(sources: readonly SourceConfig[], { registry, clock, logger }: SchemaChecksDeps) {
    this.#clock = clock
    for (const { name, schema } of sources)
      if (schema !== null && registry !== null)
        this.#checks.set(name, new SchemaCheck({ source: name, config: schema, registry, clock, logger }))
    if (this.#checks.size === 0) this.#looked.resolve()
  }

  /** Resolves when the registry was asked once, whether it answered or not. */
  get looked(): Promise<void> {
    return this.#looked.promise
  }

  /** Null: its bodies need not fit anything. */
  of(source: string): SchemaCheck | null {
    return this.#checks.get(source) ?? null
  }

  waitingFor(): string | null {
    for (const { missing } of this.#checks.values()) if (missing !== null) return missing
    return null
  }

  async run(signal: AbortSignal): Promise<void> {
    while (this.#checks.size > 0 && !signal.aborted) {
      const answered = await this.step()
      this.#looked.resolve()
      await this.#clock.sleep(answered && this.waitingFor() === null ? REFRESH_MS : ASK_AGAIN_MS, signal)
    }
  }

  /** One round; false when the registry did not answer, and was not asked for the rest. */
  async step(): Promise<boolean> {
    for (const check of this.#checks.values()) if (!(await check.refresh())) return false
    return true
  }
}
