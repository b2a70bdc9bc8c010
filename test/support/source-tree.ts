/** The project's own source files with their imports, for the tests that hold the style. */
import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'

export const ROOT = resolve(import.meta.dirname, '..', '..')
export const PRODUCT_FOLDERS = [
  'core',
  'adapters',
  'ingress',
  'dispatcher',
  'archiver',
  'api',
  'bench',
  'cli',
] as const

export interface SourceFile {
  /** Relative to the project, with forward slashes. */
  readonly path: string
  readonly text: string
  readonly lines: readonly string[]
  /** Project-relative paths of relative imports. */
  readonly imports: readonly string[]
  readonly packages: readonly string[]
}

export function sourceFiles(folders: readonly string[]): readonly SourceFile[] {
  return folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => readSource(join(folder, name))),
  )
}

function readSource(path: string): SourceFile {
  const text = readFileSync(join(ROOT, path), 'utf8')
  const imported = [...text.matchAll(/(?:from|import\()\s*'([^']+)'/g)].flatMap(([, name]) => name ?? [])
  // A thread's file is named without its ending, which differs between the sources and the build.
  const threads = [...text.matchAll(/new URL\(`(\.\/[\w-]+)\$\{extname\(/g)].map(
    ([, name]) => `${String(name)}.ts`,
  )
  const specifiers = [...imported, ...threads]
  return {
    path,
    text,
    lines: text.split('\n'),
    imports: specifiers
      .filter((name) => name.startsWith('.'))
      .map((name) => relative(ROOT, resolve(ROOT, dirname(path), name))),
    packages: specifiers.filter((name) => !name.startsWith('.')),
  }
}

/** Every import cycle that is reachable, as a path whose last element closes it. */
export function importCycles(files: readonly SourceFile[]): readonly string[][] {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const finished = new Set<string>()
  const cycles: string[][] = []
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) {
      cycles.push([...trail.slice(trail.indexOf(path)), path])
      return
    }
    if (finished.has(path)) return
    for (const next of byPath.get(path)?.imports ?? []) visit(next, [...trail, path])
    finished.add(path)
  }
  for (const file of files) visit(file.path, [])
  return cycles
}
