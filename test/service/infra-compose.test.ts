/**
 * docker-compose.yml as the programs read it: it is a compose file, and its configuration is valid with .env.example.
 * No container is started; test/unit/infra-compose.test.ts says what is in it.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { projectFile } from '../support/compose-file.ts'
import { runCli } from '../support/installation.ts'
import { composeChecker } from '../support/services/compose-checker.ts'
import { ServiceUnavailableError } from '../support/services/local-process.ts'
import { ROOT } from '../support/source-tree.ts'

test('docker-compose.yml is accepted, and one with an unknown key is not', async (t) => {
  const check = await composeChecker().catch((error: unknown) => {
    if (!(error instanceof ServiceUnavailableError)) throw error
    t.skip(`not run here: ${error.message}`)
    return null
  })
  if (check === null) return
  await check(join(ROOT, 'docker-compose.yml'))
  const folder = await mkdtemp(join(tmpdir(), 'hooktrail-compose-'))
  try {
    const spoiled = join(folder, 'docker-compose.yml')
    await writeFile(spoiled, projectFile('docker-compose.yml').replaceAll('healthcheck:', 'health_check:'))
    await assert.rejects(check(spoiled), /health_check/)
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('its configuration is valid with .env.example, and names what is missing without', async () => {
  const validate = ['validate', '-c', join(ROOT, 'infra', 'hooktrail.compose.yaml')]
  const env = { PATH: process.env['PATH'] }
  const { code, stdout } = await runCli([...validate, '--env-file', join(ROOT, '.env.example')], env)
  assert.equal(code, 0, stdout)
  assert.match(stdout, /is valid \(generation [0-9a-f]+\)/)
  const without = await runCli(validate, env)
  assert.equal(without.code, 1)
  assert.match(without.stdout, /DIGEST_KEY/)
})
