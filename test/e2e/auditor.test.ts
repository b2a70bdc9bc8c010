/** docs/auditor.md works as it stands: its commands, in order, in one folder, with a key that was given and rights that only read. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { timestampAuthority } from '../../adapters/http/timestamp-authority.ts'
import { anchorKey } from '../../core/archive/anchor/anchor-keys.ts'
import { parseHeartbeat } from '../../core/archive/documents.ts'
import { heartbeatKey } from '../../core/archive/keys.ts'
import { readNoteUnverified } from '../../core/archive/signed-note.ts'
import { ArchiveBuilder } from '../support/archive-builder.ts'
import { orSkip } from '../support/services/local-process.ts'
import { pythonOrReason } from '../support/services/python.ts'
import { startAuthority } from '../support/services/timestamp-authority.ts'
import { VERIFIER } from '../support/python-verifier.ts'

const PAGE = new URL('../../docs/auditor.md', import.meta.url)
const MAIN = new URL('../../cli/main.ts', import.meta.url).pathname
/** Heartbeats a minute apart, the last of them not stale. */
const AGE_MS = 600_000

test('an auditor comes from nothing to a conclusion by the commands of the page', async (t) => {
  const python = await orSkip(t, pythonOrReason())
  if (python === null) return
  const folder = await mkdtemp(path.join(tmpdir(), 'auditor-'))
  const archive = path.join(folder, 'archive')
  await using authority = await startAuthority()
  const builder = await ArchiveBuilder.create(archive)
  builder.nowMs = Date.now() - AGE_MS
  for (let round = 0; round < 3; round++) {
    await builder.addSegment(0, 5)
    await builder.addSegment(1, 2)
    await builder.addHeartbeat()
  }
  await stamp(builder, archive, authority.url)

  const page = await readFile(PAGE, 'utf8')
  const blocks = (language: string): readonly string[] =>
    [...page.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map(
      ([, text]) => text ?? '',
    )
  const [checker] = blocks('python')
  await writeFile(path.join(folder, 'check_proof.py'), checker ?? '')
  await writeFile(path.join(folder, 'archive.pub'), `${builder.signer.vkey}\n`)
  await writeFile(path.join(folder, 'authority.pem'), authority.ca)
  await copyFile(VERIFIER, path.join(folder, 'hooktrail_verify.py'))
  const bin = path.join(folder, 'bin')
  await mkdir(bin)
  await shim(path.join(bin, 'hooktrail'), `"${process.execPath}" "${MAIN}"`)
  await shim(path.join(bin, 'python3'), `"${python.path}"`)
  const env = { ...process.env, PATH: `${bin}:${process.env['PATH'] ?? ''}`, ARCHIVE: archive, COPY: archive }
  const commands = blocks('sh')
  const said: string[] = []
  for (const command of commands) {
    const { status, stdout, stderr } = spawnSync('bash', ['-euc', command], {
      cwd: folder,
      env,
      encoding: 'utf8',
    })
    assert.equal(status, 0, `${command}\n${stdout}\n${stderr}`)
    said.push(stdout)
  }
  assert.equal(commands.length, 9)
  const all = said.join('')
  assert.match(all, /anchored up to heartbeat 1 at .* by CN=test authority \(its certificate is vouched for/)
  assert.match(all, /^proven: event event-7 at hooktrail\.events\.demo:0:7$/m)
  assert.match(all, /^proven: hooktrail\.events\.demo 0 7 in test-archive$/m)
  assert.equal(all.match(/^complete and intact \(exit 0\)$/gm)?.length, 6)

  const proof = await readFile(path.join(folder, 'proof.json'), 'utf8')
  await writeFile(path.join(folder, 'proof.json'), proof.replace('"index": 2', '"index": 3'))
  const wrong = spawnSync('bash', ['-euc', 'python3 check_proof.py proof.json archive.pub'], {
    cwd: folder,
    env,
  })
  assert.equal(wrong.status, 1)
  await rm(folder, { recursive: true })
})

/** Heartbeat 1 is seen by the authority. */
async function stamp(builder: ArchiveBuilder, archive: string, url: string): Promise<void> {
  const note = readNoteUnverified(await readFile(path.join(archive, heartbeatKey(1n))))
  const checkpoint = Buffer.from(parseHeartbeat(note).checkpoint ?? '')
  const { signal } = new AbortController()
  const heartbeat = { archiveId: 'test-archive', n: 1n, checkpoint }
  const token = await timestampAuthority({ url, certificates: [] }).submit(heartbeat, signal)
  assert(token !== null)
  await builder.put(anchorKey(1n, 'rfc3161', url), token)
}

async function shim(file: string, command: string): Promise<void> {
  await writeFile(file, `#!/bin/sh\nexec ${command} "$@"\n`)
  await chmod(file, 0o755)
}
