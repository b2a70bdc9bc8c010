/** infra/Dockerfile as far as it can be checked without an engine: its Node, what it copies, and who runs it. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { projectFile } from '../support/compose-file.ts'
import { PRODUCT_FOLDERS, ROOT } from '../support/source-tree.ts'

const lines = projectFile('infra/Dockerfile').split('\n')
const manifest = JSON.parse(projectFile('package.json')) as {
  readonly engines: { readonly node: string }
  readonly devDependencies: Readonly<Record<string, string>>
}

/** Paths that come from the repository, not from another stage. */
function copiedPaths(): readonly string[] {
  return lines
    .filter((line) => line.startsWith('COPY ') && !line.includes('--from='))
    .flatMap((line) => line.split(' ').slice(1, -1))
}

test('the image has the Node that hooktrail is developed with', () => {
  const images = lines.filter((line) => /^FROM \S+:/.test(line))
  assert.deepEqual(images, [`FROM node:${String(manifest.devDependencies['node'])}-bookworm-slim AS base`])
  assert.equal(manifest.engines.node, `>=${/node:(\d+)/.exec(String(images))?.[1] ?? ''}`)
})

test('what the image copies exists, is sent to the builder, and is all of the product', () => {
  const copied = copiedPaths()
  assert.deepEqual(
    copied.filter((path) => !existsSync(join(ROOT, path))),
    [],
  )
  const ignored = projectFile('infra/Dockerfile.dockerignore').split('\n')
  assert.deepEqual(
    copied.filter((path) => ignored.some((pattern) => pattern === path.split('/')[0])),
    [],
  )
  assert.deepEqual(
    ['.env', '.git', 'node_modules'].filter((path) => !ignored.includes(path)),
    [],
  )
  assert.deepEqual(
    [...PRODUCT_FOLDERS, 'bin', 'infra/sql'].filter((path) => !copied.includes(path)),
    [],
  )
})

test('the last stage has production dependencies and a user who is not root', () => {
  const last = lines.slice(lines.lastIndexOf('FROM base'))
  assert.ok(last.includes('COPY --from=dependencies /hooktrail/node_modules node_modules'))
  assert.ok(lines.includes('RUN npm ci --omit=dev'))
  assert.ok(!last.some((line) => /^(?:RUN|COPY).*(?:npm|--from=build \/hooktrail\/node_modules)/.test(line)))
  assert.deepEqual(
    last.filter((line) => line.startsWith('USER ')),
    ['USER 1000:1000'],
  )
})
