/**
 * `${VAR}`, `${VAR:-default}` and `${file:…}` in the values of a configuration. Before parsing they are hidden from the
 * YAML parser, so that they may stand unquoted in flow collections: character by character, so every place stays what
 * the author sees. After parsing they are expanded, so that nothing they hold can add keys to the file.
 */
import { messageOf } from '../error/message-of.ts'

const REFERENCE = /\$?\$\{[^{}\n]*\}/g
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/
const HIDDEN = /[\uE000-\uE07F]/g
const HIDDEN_BASE = 0xe000

export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly readFile: (path: string) => string
}

export function hideReferences(text: string): string {
  return text.replace(REFERENCE, (reference) =>
    reference.replace(/[\u0000-\u007F]/g, (character) =>
      /\w/.test(character) ? character : String.fromCharCode(HIDDEN_BASE + character.charCodeAt(0)),
    ),
  )
}

export function revealReferences(text: string): string {
  return text.replace(HIDDEN, (character) => String.fromCharCode(character.charCodeAt(0) - HIDDEN_BASE))
}

export function hasReference(text: string): boolean {
  return text.search(REFERENCE) !== -1
}

/** `$${` writes `${` itself. A reference that leads nowhere is told to `onFault`. */
export function expandText(
  text: string,
  surroundings: Surroundings,
  onFault: (message: string) => void,
): string {
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
    if (value === undefined)
      onFault(
        `the environment has no variable ${name}: export it, or write \${file:/path} or \${${name}:-default}`,
      )
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
    onFault(`the file ${path} cannot be read: ${messageOf(error)}`)
    return ''
  }
}
