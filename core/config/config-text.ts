/**
 * From YAML text to plain values with their places. `${VAR}` and `${file:…}` are expanded in scalars after parsing, so
 * that no secret can add keys to the file; they are hidden from the parser before, so that they may stand unquoted in
 * flow collections. Hiding replaces character by character: every place stays what the author sees.
 */
import { isMap, isNode, isPair, isScalar, LineCounter, parseDocument, visit, type Document } from 'yaml'
import type { ConfigFault, PlainFault } from './config-fault.ts'

const TEXT_CHARACTERS_MAX = 1_048_576
const ALIASES_MAX = 100
const REFERENCE = /\$?\$\{[^{}\n]*\}/g
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/
const HIDDEN = /[\uE000-\uE07F]/g
const HIDDEN_BASE = 0xe000

export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly readFile: (path: string) => string
}

export interface ConfigText {
  readonly value: unknown
  readonly faults: readonly ConfigFault[]
  readonly place: (fault: PlainFault) => ConfigFault
}

export function readConfigText(text: string, surroundings: Surroundings): ConfigText {
  const lines = new LineCounter()
  const document = parseDocument(acceptable(text) ? hide(text) : '', {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: true,
    logLevel: 'error',
  })
  const faults: ConfigFault[] = []
  const faultAt = (offset: number, message: string, path = ''): void => {
    const { line, col } = lines.linePos(offset)
    faults.push({ path, line: Math.max(line, 1), column: Math.max(col, 1), message, hint: null })
  }
  if (!acceptable(text)) faultAt(0, 'the file is too large or holds characters of the private use area')
  for (const error of document.errors) faultAt(error.pos[0], reveal(error.message))
  expandScalars(document, surroundings, faultAt)
  return { value: toValue(document, faultAt), faults, place: (fault) => placed(fault, document, lines) }
}

function acceptable(text: string): boolean {
  return text.length <= TEXT_CHARACTERS_MAX && text.search(HIDDEN) === -1
}

function hide(text: string): string {
  return text.replace(REFERENCE, (reference) =>
    reference.replace(/[\u0000-\u007F]/g, (character) =>
      /\w/.test(character) ? character : String.fromCharCode(HIDDEN_BASE + character.charCodeAt(0)),
    ),
  )
}

function reveal(text: string): string {
  return text.replace(HIDDEN, (character) => String.fromCharCode(character.charCodeAt(0) - HIDDEN_BASE))
}

function expandScalars(
  document: Document,
  surroundings: Surroundings,
  faultAt: (offset: number, message: string, path: string) => void,
): void {
  visit(document, {
    Scalar: (key, scalar, ancestors) => {
      if (typeof scalar.value !== 'string') return
      const path = ancestors.flatMap((node) =>
        isPair(node) && isScalar(node.key) ? [String(node.key.value)] : [],
      )
      const onFault = (fault: string): void => {
        faultAt(scalar.range?.[0] ?? 0, fault, path.join('.'))
      }
      const revealed = reveal(scalar.value)
      scalar.value = key === 'key' ? revealed : expandText(revealed, surroundings, onFault)
    },
  })
}

/** `$${` writes `${` itself. */
function expandText(text: string, surroundings: Surroundings, onFault: (message: string) => void): string {
  return text.replace(REFERENCE, (reference) => {
    if (reference.startsWith('$$')) return reference.slice(1)
    const inner = reference.slice(2, -1)
    if (inner.startsWith('file:')) return fileText(inner.slice('file:'.length), surroundings, onFault)
    const [name, fallback] = splitDefault(inner)
    if (!NAME.test(name)) {
      onFault(`\${${name}} is no valid reference: write \${NAME}, \${NAME:-default} or \${file:/path}`)
      return ''
    }
    const value = Object.hasOwn(surroundings.env, name) ? surroundings.env[name] : undefined
    if (fallback !== undefined) return value === undefined || value === '' ? fallback : value
    if (value === undefined) onFault(`the environment has no variable ${name}`)
    return value ?? ''
  })
}

function splitDefault(inner: string): [string, string?] {
  const at = inner.indexOf(':-')
  return at === -1 ? [inner] : [inner.slice(0, at), inner.slice(at + 2)]
}

function fileText(path: string, { readFile }: Surroundings, onFault: (message: string) => void): string {
  try {
    return readFile(path).replace(/\r?\n$/, '')
  } catch (error) {
    onFault(`the file ${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
    return ''
  }
}

function toValue(document: Document, faultAt: (offset: number, message: string) => void): unknown {
  if (document.errors.length > 0) return undefined
  try {
    const value: unknown = document.toJS({ maxAliasCount: ALIASES_MAX })
    return value
  } catch (error) {
    faultAt(0, error instanceof Error ? error.message : String(error))
    return undefined
  }
}

function placed({ at, message, hint }: PlainFault, document: Document, lines: LineCounter): ConfigFault {
  const { line, col } = lines.linePos(offsetOf(document, at))
  const path = at.map(String).join('.')
  return { path, line: Math.max(line, 1), column: Math.max(col, 1), message, hint: hint ?? null }
}

/** Of the key where the path ends at one that is there, else of the nearest parent. */
function offsetOf(document: Document, at: readonly PropertyKey[]): number {
  for (let length = at.length; length > 0; length--) {
    const parent: unknown = document.getIn(at.slice(0, length - 1), true)
    const name = at[length - 1]
    if (isMap(parent)) {
      const pair = parent.items.find(({ key }) => isScalar(key) && String(key.value) === String(name))
      if (pair !== undefined && isNode(pair.key)) return pair.key.range?.[0] ?? 0
    }
    const node: unknown = document.getIn(at.slice(0, length), true)
    if (isNode(node)) return node.range?.[0] ?? 0
  }
  return 0
}
