/**
 * Where the CPU of a benchmark went: V8 samples each thread of hooktrail from start to end into a `.cpuprofile`, which
 * is the flame chart (browsers' developer tools open it), and here its samples are summed by part of the program.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'

const SAMPLE_US = 1_000
const PARTS_MAX = 20
/** What V8 names where no code of the program ran. */
const AT_REST = new Set(['(idle)', '(program)', '(root)'])

const PROFILE = z.object({
  nodes: z.array(
    z.object({
      id: z.number(),
      callFrame: z.object({ functionName: z.string(), url: z.string() }),
    }),
  ),
  samples: z.array(z.number()),
  timeDeltas: z.array(z.number()),
})

/** Makes Node write the profiles of all its threads into the folder when it ends. */
export function profileEnv(folder: string): Readonly<Record<string, string>> {
  return { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${folder} --cpu-prof-interval=${SAMPLE_US}` }
}

export interface PartShare {
  readonly part: string
  /** Milliseconds of samples whose innermost frame lies there. */
  readonly selfMs: number
}

/** The profiles of the folder by name, each with its largest parts first. */
export function readProfiles(folder: string): ReadonlyMap<string, readonly PartShare[]> {
  const files = readdirSync(folder).filter((name) => name.endsWith('.cpuprofile'))
  return new Map(files.toSorted().map((name) => [name, partsOf(readFileSync(join(folder, name), 'utf8'))]))
}

export function partsOf(text: string): readonly PartShare[] {
  const { nodes, samples, timeDeltas } = PROFILE.parse(JSON.parse(text))
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]))
  const byPart = new Map<string, number>()
  samples.forEach((id, index) => {
    const frame = frames.get(id)
    if (frame === undefined || AT_REST.has(frame.functionName)) return
    const part = partOf(frame)
    byPart.set(part, (byPart.get(part) ?? 0) + (timeDeltas[index] ?? 0) / 1_000)
  })
  return [...byPart].map(([part, selfMs]) => ({ part, selfMs })).toSorted((a, b) => b.selfMs - a.selfMs)
}

export function printProfiles(profiles: ReadonlyMap<string, readonly PartShare[]>): void {
  for (const [name, parts] of profiles) {
    const total = parts.reduce((sum, { selfMs }) => sum + selfMs, 0)
    console.log(`\n${name}: ${(total / 1_000).toFixed(1)} s of CPU in JavaScript, by part`)
    for (const { part, selfMs } of parts.slice(0, PARTS_MAX))
      console.log(`  ${((selfMs / total) * 100).toFixed(1).padStart(5)} %  ${part}`)
  }
}

/** A folder of the program, a dependency, Node's own modules, or what V8 does itself. */
function partOf({ functionName, url }: { functionName: string; url: string }): string {
  if (url === '') return functionName === '(garbage collector)' ? 'garbage collection' : 'native code'
  if (url.startsWith('node:')) return url.replace(/^(node:)(?:internal\/)?_?([a-z]+).*/, '$1$2')
  const dependency = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1]
  if (dependency !== undefined) return dependency
  return /.*\/((?:ingress|dispatcher|archiver|adapters\/[^/]+|api|core\/[^/]+|cli)\/)/.exec(url)?.[1] ?? url
}
