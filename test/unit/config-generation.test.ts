/** The generation names a configuration with its secrets, and tells nobody what they are. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { generationOf } from '../../core/config/generation.ts'
import { handler, source, valid } from '../support/config-reader.ts'

const KEY = 'ab'.repeat(32)
const generation = (text: string, key = KEY): string => generationOf(valid(text), key)
const toUrl = (url: string): string => `version: 1\n${source}handlers: { h: { source: a, url: '${url}' } }\n`

test('configurations that differ in anything, hidden or not, have different generations', () => {
  const texts = [
    handler('concurrency: 3'),
    handler('headers: { authorization: one }'),
    handler('headers: { authorization: other }'),
    toUrl('https://example.com/?token=one'),
    toUrl('https://example.com/?token=other'),
    handler('concurrency: 3').replace('${SECRET}', 'another-secret'),
    `${handler('concurrency: 3')}api: { auth_token: 0123456789abcdefg }\n`,
  ]
  assert.equal(new Set(texts.map((text) => generation(text))).size, texts.length)
})

test('the same settings and digest key have one generation, wherever the key is kept', () => {
  const text = handler('concurrency: 3')
  assert.match(generation(text), /^[0-9a-f]{16}$/)
  assert.equal(generation(text), generation(text))
  assert.equal(generation(text), generation(`${text}digest_key: '${KEY}'\n`))
})

test('a configuration that has its generation gets the same one again', () => {
  const settings = valid(handler('concurrency: 3'))
  const first = generationOf(settings, KEY)
  const numbered = { ...settings, generation: first }
  assert.equal(generationOf(numbered, KEY), first)
})

test('without the key a generation cannot be made again', () => {
  const text = handler('concurrency: 3')
  assert.notEqual(generation(text), generation(text, 'cd'.repeat(32)))
})
