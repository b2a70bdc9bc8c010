/** The snippets of docs/delivery.md accept what is really delivered, and nothing that was changed. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { deliverOnce, openDispatcherStage, planAll } from '../support/dispatcher-stage.ts'
import { ROOT } from '../support/source-tree.ts'

const OLD = `whsec_${Buffer.alloc(24, 1).toString('base64')}`
const NEW = `whsec_${Buffer.alloc(24, 2).toString('base64')}`
const OTHER = `whsec_${Buffer.alloc(24, 3).toString('base64')}`
const BODY = Buffer.from([0x7b, 0xff, 0xfe, 0x7d])

/** Each reads cases from its input and prints what `verify` says of them. */
const RUN = {
  js: `import { readFileSync } from 'node:fs'
for (const { headers, body, secret } of JSON.parse(readFileSync(0, 'utf8')))
  console.log(verify(headers, Buffer.from(body, 'base64'), secret))`,
  python: `import json, sys
for case in json.load(sys.stdin):
    print(str(verify(case["headers"], base64.b64decode(case["body"]), case["secret"])).lower())`,
}

for (const [language, file, command] of [
  ['js', 'verify.mjs', process.execPath],
  ['python', 'verify.py', 'python3'],
] as const) {
  const skip = spawnSync(command, ['--version']).status !== 0 && `there is no ${command}`
  test(`the ${language} snippet verifies a delivery`, { skip }, async () => {
    const page = await readFile(join(ROOT, 'docs', 'delivery.md'), 'utf8')
    const snippet = page.split(`\`\`\`${language}\n`)[1]?.split('```')[0] ?? ''
    const folder = await mkdtemp(join(tmpdir(), 'hooktrail-snippet-'))
    try {
      await writeFile(join(folder, file), `${snippet}\n${RUN[language]}\n`)
      const input = JSON.stringify(await deliveredCases())
      const run = spawnSync(command, [join(folder, file)], { input, encoding: 'utf8' })
      assert.deepEqual(run.stdout.trim().split('\n'), ['true', 'true', 'false', 'false', 'false'], run.stderr)
    } finally {
      await rm(folder, { recursive: true })
    }
  })
}

/** One delivery under two secrets: two that fit, then another secret, another body, an old time. */
async function deliveredCases() {
  await using stage = await openDispatcherStage({ handlers: [{ name: 'app', signingSecrets: [OLD, NEW] }] })
  const dispatcher = await stage.compose()
  await stage.append([{ body: BODY }])
  await planAll(dispatcher)
  await deliverOnce(dispatcher, 'app')
  const [request] = stage.receiver.requests
  assert(request !== undefined)
  const { headers } = request
  const body = request.body.toString('base64')
  return [
    { headers, body, secret: OLD },
    { headers, body, secret: NEW },
    { headers, body, secret: OTHER },
    { headers, body: Buffer.from('{}').toString('base64'), secret: NEW },
    { headers: { ...headers, 'webhook-timestamp': '1000000000' }, body, secret: NEW },
  ]
}
