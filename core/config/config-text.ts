/**
 * From the text of one YAML file to plain values with their places. What is no text, too large or too deep is a fault
 * with a place, too; nothing here throws, and nothing takes longer than the size of the file allows.
 */
import { isMap, isNode, isScalar, LineCounter, parseDocument, type Document } from 'yaml'
import { FAULTS_MAX, type ConfigFault, type PlainFault } from './config-fault.ts'
import { walkTree, type Path } from './config-tree.ts'
import {
  expandText,
  hasReference,
  hideReferences,
  revealReferences,
  type Surroundings,
} from './expand-text.ts'
import { messageOf } from '../error/message-of.ts'

const TEXT_CHARACTERS_MAX = 1_048_576
const ALIASES_MAX = 100
/** Control characters, those that hide references, and what stands for bytes that are no UTF-8. */
const REFUSED = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f\uE000-\uE07F\uFFFD]/
const WORD = /^[A-Za-z][\w.-]{0,31}$/

export interface ConfigFile {
  readonly file: string
  readonly text: string
}

export interface ConfigText {
  /** Undefined: the text cannot be read, for which `faults` has the reason. */
  readonly value: unknown
  readonly faults: readonly ConfigFault[]
  /** Paths of values that are wrong whatever the schema says, dotted. */
  readonly refused: ReadonlySet<string>
  /** How many names of the path stand in this text. */
  readonly depthOf: (at: Path) => number
  readonly place: (fault: PlainFault) => ConfigFault
}

type FaultAt = (offset: number, message: string, path?: Path) => void

export function readConfigText({ file, text }: ConfigFile, surroundings: Surroundings): ConfigText {
  const faults: ConfigFault[] = []
  const lines = new LineCounter()
  const faultAt: FaultAt = (offset, message, path = []) => {
    if (faults.length >= FAULTS_MAX) return
    faults.push({ file, path: dotted(path), ...placeOf(lines, offset), message, hint: null })
  }
  const content = text.replace(/^\uFEFF/, '')
  const refusal = refusalOf(content)
  if (refusal !== null) faults.push({ file, path: '', ...refusal, hint: null })
  const document = parseDocument(refusal === null ? hideReferences(content) : '', {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: false,
    logLevel: 'error',
  })
  for (const { pos, message } of document.errors) faultAt(pos[0], reasonOf(message))
  const { expanded, refused } = expandTree(document, surroundings, faultAt)
  const isShown = (found: string, at: Path): boolean => WORD.test(found) && !expanded.has(dotted(at))
  return {
    value: refusal === null ? toValue(document, faultAt) : undefined,
    faults,
    refused,
    depthOf: (at) => locate(document, at).depth,
    place: ({ at, message, found, hint }) => ({
      ...{ file, path: dotted(at), ...placeOf(lines, locate(document, at).offset) },
      message: found !== undefined && isShown(found, at) ? `is ${found}, but ${message}` : message,
      hint: hint ?? null,
    }),
  }
}

export function dotted(path: Path): string {
  return path.map(String).join('.')
}

function placeOf(lines: LineCounter, offset: number): { line: number; column: number } {
  const { line, col } = lines.linePos(offset)
  return { line: Math.max(line, 1), column: Math.max(col, 1) }
}

/** Why the text is not even parsed, or null. */
function refusalOf(text: string): Pick<ConfigFault, 'line' | 'column' | 'message'> | null {
  if (text.length > TEXT_CHARACTERS_MAX)
    return { line: 1, column: 1, message: `the file is larger than ${TEXT_CHARACTERS_MAX} characters` }
  const offset = text.search(REFUSED)
  if (offset === -1) return null
  const before = text.slice(0, offset).split('\n')
  const code = text.charCodeAt(offset).toString(16).toUpperCase().padStart(4, '0')
  const message =
    code === 'FFFD'
      ? 'the file is not UTF-8'
      : `the file holds the character U+${code}, which has no meaning here`
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1, message }
}

interface TreePaths {
  /** Of values that references brought in. */
  readonly expanded: ReadonlySet<string>
  readonly refused: ReadonlySet<string>
}

/** A value that cannot be expanded becomes null, which no key accepts. */
function expandTree(document: Document, surroundings: Surroundings, faultAt: FaultAt): TreePaths {
  const expanded = new Set<string>()
  const refused = new Set<string>()
  walkTree(document.contents, {
    value: (scalar, path) => {
      if (typeof scalar.value !== 'string') return
      const text = revealReferences(scalar.value)
      scalar.value = text
      if (!hasReference(text)) return
      expanded.add(dotted(path))
      const reasons: string[] = []
      const value = expandText(text, surroundings, (reason) => {
        reasons.push(reason)
      })
      for (const reason of reasons) faultAt(scalar.range?.[0] ?? 0, reason, path)
      if (reasons.length > 0) refused.add(dotted(path))
      scalar.value = reasons.length === 0 ? value : null
    },
    fault: (node, message, path) => {
      faultAt(node.range?.[0] ?? 0, message, path)
    },
  })
  return { expanded, refused }
}

function toValue(document: Document, faultAt: FaultAt): unknown {
  if (document.errors.length > 0) return undefined
  try {
    const value: unknown = document.toJS({ maxAliasCount: ALIASES_MAX })
    return value
  } catch (error) {
    faultAt(0, reasonOf(messageOf(error)))
    return undefined
  }
}

function reasonOf(message: string): string {
  if (message.includes('call stack')) return 'the file is nested too deeply'
  if (message.startsWith('Excessive alias count')) return `the file uses more than ${ALIASES_MAX} aliases`
  return revealReferences(message)
}

/** The key where the path ends at one that is there, else the nearest parent. */
function locate(document: Document, at: Path): { depth: number; offset: number } {
  for (let depth = at.length; depth > 0; depth--) {
    const parent: unknown = document.getIn(at.slice(0, depth - 1), true)
    const name = at[depth - 1]
    if (isMap(parent)) {
      const pair = parent.items.find(({ key }) => isScalar(key) && String(key.value) === String(name))
      if (pair !== undefined && isNode(pair.key)) return { depth, offset: pair.key.range?.[0] ?? 0 }
    }
    const node: unknown = document.getIn(at.slice(0, depth), true)
    if (isNode(node)) return { depth, offset: node.range?.[0] ?? 0 }
  }
  return { depth: 0, offset: 0 }
}
