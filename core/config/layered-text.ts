/**
 * The configuration file with its overlay, as one text: mappings are merged by keys, everything else is replaced. A
 * fault is placed in the file that has the key, in the overlay where both have it.
 */
import { readConfigText, type ConfigFile, type ConfigText } from './config-text.ts'
import type { Surroundings } from './expand-text.ts'

export interface LayeredFiles extends ConfigFile {
  /** What `--env` names; null without. */
  readonly overlay: ConfigFile | null
}

export function readLayeredText(files: LayeredFiles, surroundings: Surroundings): ConfigText {
  const base = readConfigText(files, surroundings)
  if (files.overlay === null) return base
  const over = readConfigText(files.overlay, surroundings)
  const isReadable = base.value !== undefined && over.value !== undefined
  return {
    value: isReadable ? merged(base.value ?? {}, over.value ?? {}) : undefined,
    faults: [...base.faults, ...over.faults],
    refused: new Set([...base.refused, ...over.refused]),
    depthOf: (at) => Math.max(base.depthOf(at), over.depthOf(at)),
    place: (fault) => {
      const depth = over.depthOf(fault.at)
      const isThere = depth > base.depthOf(fault.at) || depth === fault.at.length
      return (isThere ? over : base).place(fault)
    },
  }
}

function merged(base: unknown, over: unknown): unknown {
  if (!isMapping(base) || !isMapping(over)) return over
  const result = new Map(Object.entries(base))
  for (const [key, value] of Object.entries(over))
    result.set(key, result.has(key) ? merged(result.get(key), value) : value)
  return Object.fromEntries(result)
}

function isMapping(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
