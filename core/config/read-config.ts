/**
 * Reads a configuration, or reports every fault at once with its place (lessons 10 and 39: nothing wrong is left for
 * the first request). Pure: environment and files come in.
 */
import type { z } from 'zod'
import { buildBody, buildHandler, buildSource, type RawHandler, type RawSource } from './build-config.ts'
import { checkHandler, checkName, checkSections, checkSource } from './check-config.ts'
import { FAULTS_MAX, type ConfigFault, type PlainFault, type Report } from './config-fault.ts'
import { dotted } from './config-text.ts'
import type { Path } from './config-tree.ts'
import type { Settings } from './config.ts'
import { checkEchoPorts } from './echo-url.ts'
import type { Surroundings } from './expand-text.ts'
import { readLayeredText, type LayeredFiles } from './layered-text.ts'
import { parseSection, type Part } from './parse-section.ts'
import { redactConfig } from './redact-config.ts'
import { handlerSchema, rootSchema, sectionSchemas, sourceSchema, type Sections } from './schema.ts'
import { withMeantNames } from './unknown-keys.ts'
import { warningsOf } from './warn-config.ts'

export type ConfigResult =
  | { readonly ok: true; readonly config: Settings; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly faults: readonly ConfigFault[] }

const NAMED_MAX = 1000
const ROOT_NAMES = Object.keys(rootSchema.shape)

export function readConfig(files: LayeredFiles, surroundings: Surroundings): ConfigResult {
  const text = readLayeredText(files, surroundings)
  const faults = [...text.faults]
  const report = (fault: PlainFault): void => {
    if (faults.length < FAULTS_MAX && !isBelow(fault.at, text.refused)) faults.push(text.place(fault))
  }
  // What follows a fault of the syntax is not what the author meant.
  const config = text.value === undefined ? null : readRoot(text.value ?? {}, report)
  if (config === null || faults.length > 0) return { ok: false, faults: inOrder(faults, files) }
  return { ok: true, config, warnings: warningsOf(config) }
}

/** What the text itself got wrong at a path is not reported again at that path or below it. */
function isBelow(at: Path, refused: ReadonlySet<string>): boolean {
  return at.some((_, index) => refused.has(dotted(at.slice(0, index + 1))))
}

function inOrder(faults: readonly ConfigFault[], { file }: LayeredFiles): readonly ConfigFault[] {
  const fileOf = (fault: ConfigFault): number => (fault.file === file ? 0 : 1)
  return faults.toSorted((a, b) => fileOf(a) - fileOf(b) || a.line - b.line || a.column - b.column)
}

function readRoot(value: unknown, report: Report): Settings | null {
  const root = mappingOf(value, [], report)
  if (root === null) return null
  const own = parseSection(rootSchema, { at: [], value }, report)
  const meant = mappingOf(withMeantNames(value, [], ROOT_NAMES), [], report) ?? root
  const sections = readSections(root, report)
  checkSections(meant, report)
  const sources = readNamed(root, { key: 'sources', schema: sourceSchema, check: checkSource }, report)
  const names = root.has('sources') || !meant.has('sources') ? namesOf(root.get('sources')) : null
  const check: Check = (part) => {
    checkHandler(part, names, report)
  }
  const handlers = readNamed(root, { key: 'handlers', schema: handlerSchema, check }, report)
  if (sections === null || own === null) return null
  checkEchoPorts(sections, handlers, report)
  return assemble({ sections, digestKey: own.digest_key ?? null, sources, handlers })
}

/** Also of malformed sources; null when they cannot be known. */
function namesOf(sources: unknown): readonly string[] | null {
  const mapping = mappingOf(sources ?? {}, [], () => undefined)
  return mapping === null ? null : [...mapping.keys()]
}

interface Parts {
  readonly sections: Sections
  readonly digestKey: string | null
  readonly sources: ReadonlyMap<string, RawSource>
  readonly handlers: ReadonlyMap<string, RawHandler>
}

function assemble({ sections, digestKey, sources, handlers }: Parts): Settings {
  const unredacted = {
    ...buildBody(sections),
    digestKey,
    sources: [...sources].map(([name, raw]) => buildSource(name, raw, sections.server)),
    handlers: [...handlers].map(([name, raw]) => buildHandler(name, raw, sections.delivery)),
  }
  return { ...unredacted, redacted: redactConfig(unredacted) }
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
  const registry = parseSection(sectionSchemas.schema_registry, part('schema_registry'), report)
  const worker = parseSection(sectionSchemas.worker, part('worker'), report)
  if (server === null || log === null || database === null || queue === null) return null
  if (archive === null || api === null || delivery === null || worker === null) return null
  if (registry === null) return null
  return { server, log, database, queue, archive, api, delivery, schema_registry: registry, worker }
}

type Check = (part: Part, report: Report) => void

function readNamed<T extends z.ZodType>(
  root: ReadonlyMap<string, unknown>,
  { key, schema, check }: { readonly key: string; readonly schema: T; readonly check: Check },
  report: Report,
): ReadonlyMap<string, z.output<T>> {
  const found = new Map<string, z.output<T>>()
  const mapping = mappingOf(root.get(key) ?? {}, [key], report) ?? new Map<string, unknown>()
  if (mapping.size > NAMED_MAX) report({ at: [key], message: `has more than ${NAMED_MAX} entries` })
  for (const [name, value] of [...mapping].slice(0, NAMED_MAX)) {
    const part = { at: [key, name], value }
    checkName(part.at, report)
    const parsed = parseSection(schema, part, report)
    if (parsed !== null) found.set(name, parsed)
    check(part, report)
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
