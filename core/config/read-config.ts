/**
 * Reads a configuration, or reports every fault at once with its place (lessons 10 and 39: nothing wrong is left for
 * the first request). Pure: environment and files come in.
 */
import type { z } from 'zod'
import {
  buildBody,
  buildHandler,
  buildSource,
  type RawHandler,
  type RawSource,
  type Sections,
} from './build-config.ts'
import { checkHandler, checkName, checkSections, checkSource } from './check-config.ts'
import type { ConfigFault, PlainFault, Report } from './config-fault.ts'
import { readConfigText, type Surroundings } from './config-text.ts'
import type { Config } from './config.ts'
import { parseSection, reportUnknownKey, type Part } from './parse-section.ts'
import { redactConfig } from './redact-config.ts'
import { handlerSchema, rootKeys, sectionSchemas, sourceSchema } from './schema.ts'
import { warningsOf } from './warn-config.ts'

export interface ConfigInput extends Surroundings {
  readonly text: string
  /** Name of the file, for messages of the caller. */
  readonly file: string
}

export type ConfigResult =
  | { readonly ok: true; readonly config: Config; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly faults: readonly ConfigFault[] }

const NAMED_MAX = 1000
const ROOT_NAMES = [...Object.keys(rootKeys), ...Object.keys(sectionSchemas), 'sources', 'handlers']

export function readConfig(input: ConfigInput): ConfigResult {
  const text = readConfigText(input.text, input)
  const faults = [...text.faults]
  const root: unknown = text.value ?? {}
  const report = (fault: PlainFault): void => {
    const placed = text.place(fault)
    // What expansion already refused is not reported a second time.
    if (!text.faults.some(({ path }) => path === placed.path && path !== '')) faults.push(placed)
  }
  const hasSyntaxFault = text.value === undefined && faults.length > 0
  const config = hasSyntaxFault ? null : readRoot(root, report)
  if (config === null || faults.length > 0) return { ok: false, faults: inOrder(faults) }
  return { ok: true, config, warnings: warningsOf(config) }
}

function inOrder(faults: readonly ConfigFault[]): readonly ConfigFault[] {
  return faults.toSorted((a, b) => a.line - b.line || a.column - b.column)
}

function readRoot(value: unknown, report: Report): Config | null {
  const root = mappingOf(value, [], report)
  if (root === null) return null
  for (const name of root.keys()) if (!ROOT_NAMES.includes(name)) reportUnknownKey([name], ROOT_NAMES, report)
  const version = parseSection(rootKeys.version, { at: ['version'], value: root.get('version') }, report)
  const digestKey = parseSection(
    rootKeys.digest_key,
    { at: ['digest_key'], value: root.get('digest_key') },
    report,
  )
  const sections = readSections(root, report)
  const sources = readNamed(root, { key: 'sources', schema: sourceSchema }, report)
  const handlers = readNamed(root, { key: 'handlers', schema: handlerSchema }, report)
  const names = [...(mappingOf(root.get('sources') ?? {}, ['sources'], () => undefined)?.keys() ?? [])]
  for (const [name, raw] of sources) checkSource(name, raw, report)
  for (const [name, raw] of handlers) checkHandler(name, raw, { sources: names, report })
  if (sections === null || version === null) return null
  checkSections(sections, report)
  return assemble({ sections, digestKey: digestKey ?? null, sources, handlers })
}

interface Parts {
  readonly sections: Sections
  readonly digestKey: string | null
  readonly sources: ReadonlyMap<string, RawSource>
  readonly handlers: ReadonlyMap<string, RawHandler>
}

function assemble({ sections, digestKey, sources, handlers }: Parts): Config {
  const unredacted = {
    ...buildBody(sections),
    digestKey,
    sources: [...sources].map(([name, raw]) => buildSource(name, raw, sections.server)),
    handlers: [...handlers].map(([name, raw]) => buildHandler(name, raw, sections.delivery)),
  }
  return { ...unredacted, ...redactConfig(unredacted) }
}

function readSections(root: ReadonlyMap<string, unknown>, report: Report): Sections | null {
  const part = (name: keyof Sections): Part => ({ at: [name], value: root.get(name) ?? {} })
  const server = parseSection(sectionSchemas.server, part('server'), report)
  const log = parseSection(sectionSchemas.log, part('log'), report)
  const database = parseSection(sectionSchemas.database, part('database'), report)
  const queue = parseSection(sectionSchemas.queue, part('queue'), report)
  const archive = parseSection(sectionSchemas.archive, part('archive'), report)
  const api = parseSection(sectionSchemas.api, part('api'), report)
  const delivery = parseSection(sectionSchemas.delivery, part('delivery'), report)
  const worker = parseSection(sectionSchemas.worker, part('worker'), report)
  if (server === null || log === null || database === null || queue === null) return null
  if (archive === null || api === null || delivery === null || worker === null) return null
  return { server, log, database, queue, archive, api, delivery, worker }
}

function readNamed<T extends z.ZodType>(
  root: ReadonlyMap<string, unknown>,
  { key, schema }: { key: string; schema: T },
  report: Report,
): ReadonlyMap<string, z.output<T>> {
  const found = new Map<string, z.output<T>>()
  const mapping = mappingOf(root.get(key) ?? {}, [key], report) ?? new Map<string, unknown>()
  if (mapping.size > NAMED_MAX) report({ at: [key], message: `has more than ${NAMED_MAX} entries` })
  for (const [name, value] of [...mapping].slice(0, NAMED_MAX)) {
    checkName([key, name], report)
    const parsed = parseSection(schema, { at: [key, name], value }, report)
    if (parsed !== null) found.set(name, parsed)
  }
  return found
}

function mappingOf(
  value: unknown,
  at: readonly string[],
  report: Report,
): ReadonlyMap<string, unknown> | null {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return new Map(Object.entries(value))
  report({ at, message: 'must be a mapping of keys to values' })
  return null
}
