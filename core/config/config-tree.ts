/**
 * Walks the nodes of a YAML document with their paths: every value, and what makes a tree no configuration (a key that
 * stands twice, a node that contains itself, no end of nesting).
 */
import { isAlias, isMap, isNode, isScalar, isSeq, type Node, type Scalar, type YAMLMap } from 'yaml'
import { revealReferences } from './expand-text.ts'

export type Path = readonly PropertyKey[]

export interface TreeVisitor {
  readonly value: (scalar: Scalar, path: Path) => void
  readonly fault: (node: Node, message: string, path: Path) => void
}

interface Place {
  readonly path: Path
  /** Anchors of the nodes around. */
  readonly anchors: readonly string[]
}

/** The schema needs six. */
const DEPTH_MAX = 32

export function walkTree(
  node: unknown,
  visitor: TreeVisitor,
  { path, anchors }: Place = { path: [], anchors: [] },
): void {
  if (isScalar(node)) visitor.value(node, path)
  if (isAlias(node) && anchors.includes(node.source)) visitor.fault(node, 'contains itself', path)
  if (!isSeq(node) && !isMap(node)) return
  if (path.length >= DEPTH_MAX) {
    visitor.fault(node, 'is nested too deeply', path)
    return
  }
  const around = node.anchor === undefined ? anchors : [...anchors, node.anchor]
  if (isMap(node)) walkMap(node, visitor, { path, anchors: around })
  else
    node.items.forEach((item, index) => {
      walkTree(item, visitor, { path: [...path, index], anchors: around })
    })
}

/** Of a key that stands twice the first is kept, so that the rest of the file is checked. */
function walkMap(map: YAMLMap, visitor: TreeVisitor, { path, anchors }: Place): void {
  // A set, because comparing every pair of keys takes minutes in a large file.
  const seen = new Set<string>()
  map.items = map.items.filter(({ key, value }) => {
    const name = nameOf(key)
    const at = [...path, name]
    if (seen.has(name)) {
      visitor.fault(isNode(key) ? key : map, 'is set twice', at)
      return false
    }
    seen.add(name)
    walkTree(value, visitor, { path: at, anchors })
    return true
  })
}

/** The name of the property that the key becomes. References stay as they are written: keys are not expanded. */
function nameOf(key: unknown): string {
  if (!isScalar(key)) return ''
  const { value } = key
  if (typeof value !== 'string') return typeof value === 'number' ? String(value) : JSON.stringify(value)
  const name = revealReferences(value)
  key.value = name
  return name
}
