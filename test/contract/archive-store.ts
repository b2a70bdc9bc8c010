/** What every archive store must do: the suite of the port, run on each adapter. */
import assert from 'node:assert/strict'
import { hash, randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import { isHooktrailError, type HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { ArchiveStore, NewObject } from '../../core/ports/archive-store.ts'

export interface StoreUnderTest {
  /** An empty store of its own for each call. */
  readonly open: () => Promise<ArchiveStore>
  /** Folder for files that are handed in as bodies. */
  readonly scratch: () => string
  /** For a store that orders folders by their bare names: the suite keeps to what an archive asks for, where that is the same. */
  readonly ordersFolders?: boolean
}

/** Among them folders whose name begins another's: in byte order `a-b/` and `a.b` come before `a/`. */
const KEYS = ['a-b/x', 'a.b', 'a/b', 'a/b.c', 'a/c/d', 'a0', 'B', 'ab/c', 'b/z0', 'b/z1/q']
const ALIKE_KEYS = ['a/b', 'a/c/d', 'a/e', 'B', 'b/z0', 'b/z1/q', 'c']

export function objectOf(key: string, body: Buffer): NewObject {
  return { key, body, sha256: hash('sha256', body, 'buffer'), contentType: 'application/octet-stream' }
}

/** Its body in a file of its own below `folder`. */
export async function fileObject(
  folder: string,
  key: string,
  size: number,
): Promise<{ readonly object: NewObject; readonly bytes: Buffer }> {
  const bytes = randomBytes(size)
  const file = path.join(folder, randomBytes(8).toString('hex'))
  await writeFile(file, bytes)
  return { bytes, object: { ...objectOf(key, bytes), body: { path: file, size } } }
}

export async function keysOf(
  store: ArchiveStore,
  prefix: string,
  after?: string,
): Promise<readonly string[]> {
  const keys = []
  for await (const { key } of store.list(prefix, after)) keys.push(key)
  return keys
}

export async function bytesOf(chunks: AsyncIterable<Uint8Array> | null): Promise<Buffer | null> {
  return chunks && Buffer.concat(await Array.fromAsync(chunks))
}

export function failsWith(code: HooktrailError['code']): (error: unknown) => boolean {
  return (error) => isHooktrailError(error, code)
}

export function testArchiveStore({ open, scratch, ordersFolders = false }: StoreUnderTest): void {
  test('an object that was created is read, opened, headed and listed with its bytes', async () => {
    const store = await open()
    const body = randomBytes(700_000)
    assert.equal(await store.create(objectOf('a/b/c.bin', body)), 'created')
    assert.deepEqual(await store.read('a/b/c.bin', body.length), body)
    assert.deepEqual(await bytesOf(await store.open('a/b/c.bin')), body)
    assert.equal((await store.head('a/b/c.bin'))?.size, body.length)
    assert.deepEqual(await keysOf(store, ''), ['a/b/c.bin'])
    await assert.rejects(store.read('a/b/c.bin', body.length - 1), failsWith('ARCHIVE_OBJECT_TOO_LARGE'))
  })

  test('what does not exist is null and not an error', async () => {
    const store = await open()
    await store.create(objectOf('x', Buffer.from('file')))
    for (const key of ['a', 'a/b', 'x/y']) {
      assert.equal(await store.read(key, 10), null)
      assert.equal(await store.open(key), null)
      assert.equal(await store.head(key), null)
    }
    assert.deepEqual(await keysOf(store, 'nothing/'), [])
  })

  test('a second create changes nothing, whatever its bytes', async () => {
    const store = await open()
    await store.create(objectOf('k', Buffer.from('first')))
    assert.equal(await store.create(objectOf('k', Buffer.from('second'))), 'exists')
    assert.equal(await store.create(objectOf('k', Buffer.from('first'))), 'exists')
    assert.equal(String(await store.read('k', 100)), 'first')
  })

  test('of eight creators at once exactly one wins and its bytes stand', async () => {
    const store = await open()
    for (let round = 0; round < 20; round++) {
      const key = `race/${String(round)}/object`
      const bodies = Array.from({ length: 8 }, () => randomBytes(20_000))
      const outcomes = await Promise.all(bodies.map((body) => store.create(objectOf(key, body))))
      assert.equal(outcomes.filter((outcome) => outcome === 'created').length, 1)
      assert.deepEqual(await store.read(key, 20_000), bodies[outcomes.indexOf('created')])
    }
  })

  test('other bytes than announced are refused and leave nothing', async () => {
    const store = await open()
    const wrong = { ...objectOf('k', Buffer.from('body')), sha256: Buffer.alloc(32) }
    await assert.rejects(store.create(wrong), failsWith('ARCHIVE_DIGEST_MISMATCH'))
    assert.equal(await store.head('k'), null)
    assert.equal(await store.create(objectOf('k', Buffer.from('body'))), 'created')
  })

  test('a body in a file is taken up to its size', async () => {
    const store = await open()
    const body = randomBytes(3_000_000)
    const file = path.join(scratch(), randomBytes(8).toString('hex'))
    await writeFile(file, Buffer.concat([body, Buffer.from('not this')]))
    const object = { ...objectOf('k', body), body: { path: file, size: body.length } }
    assert.equal(await store.create(object), 'created')
    assert.deepEqual(await store.read('k', body.length), body)
    const short = { ...objectOf('l', body), body: { path: file, size: body.length + 100 } }
    await assert.rejects(store.create(short), failsWith('ARCHIVE_DIGEST_MISMATCH'))
    assert.deepEqual(await keysOf(store, ''), ['k'])
  })

  test('an empty object is an object', async () => {
    const store = await open()
    assert.equal(await store.create(objectOf('empty', Buffer.alloc(0))), 'created')
    assert.deepEqual(await store.read('empty', 0), Buffer.alloc(0))
  })

  test('keys are listed in byte order, by prefix, after a key', async () => {
    const store = await open()
    const keys = ordersFolders ? ALIKE_KEYS : KEYS
    for (const key of keys.toReversed()) await store.create(objectOf(key, Buffer.from(key)))
    const sorted = keys.toSorted()
    assert.deepEqual(await keysOf(store, ''), sorted)
    for (const prefix of ['a', 'a/', 'a/b', 'b/z', 'zz', 'a/c/', '../']) {
      const wanted = sorted.filter((key) => key.startsWith(prefix))
      assert.deepEqual(await keysOf(store, prefix), wanted, prefix)
      for (const after of [...sorted, ...(ordersFolders ? [] : ['a', 'a/b.', 'b/'])]) {
        const rest = wanted.filter((key) => key > after)
        assert.deepEqual(await keysOf(store, prefix, after), rest, `${prefix} after ${after}`)
      }
    }
  })

  test('more keys than a page holds are listed once each and in order, from the beginning and from any key', async () => {
    const store = await open()
    const keys = Array.from({ length: 1_010 }, (_, i) => `many/${String(i).padStart(4, '0')}.note`)
    for (let done = 0; done < keys.length; done += 50) {
      await Promise.all(
        keys.slice(done, done + 50).map((key) => store.create(objectOf(key, Buffer.from(key)))),
      )
    }
    await store.create(objectOf('other/z', Buffer.from('z')))
    assert.deepEqual(await keysOf(store, 'many/'), keys)
    assert.deepEqual(await keysOf(store, ''), [...keys, 'other/z'])
    assert.deepEqual(await keysOf(store, 'many/', keys[49]), keys.slice(50))
    assert.deepEqual(await keysOf(store, 'many/', keys[999]), keys.slice(1_000))
  })

  test('a key that could leave the store is refused', async () => {
    const store = await open()
    const bad = [
      '',
      '/',
      '../x',
      'a/../b',
      '/etc/x',
      'a//b',
      'a/',
      '.hidden',
      'a/.b',
      'tmp/x',
      'a\\b',
      'a\0b',
      'ä',
      'a b',
    ]
    for (const key of [...bad, 'x'.repeat(300)]) {
      await assert.rejects(
        store.create(objectOf(key, Buffer.from('x'))),
        failsWith('ARCHIVE_KEY_INVALID'),
        key,
      )
      await assert.rejects(async () => store.read(key, 1), failsWith('ARCHIVE_KEY_INVALID'), key)
    }
    assert.deepEqual(await keysOf(store, ''), [])
  })
}
