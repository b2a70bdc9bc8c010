/** Which addresses a request may go to, in every notation that could lead around the check. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isAddress, refusedAddress } from '../../core/delivery/address-class.ts'

const PUBLIC = [
  '93.184.216.34',
  '8.8.8.8',
  '2606:4700::1111',
  '::ffff:8.8.8.8',
  '64:ff9b::808:808',
  '2002:808:808::1',
]
const PRIVATE = [
  '127.0.0.1',
  '10.1.2.3',
  '172.16.0.1',
  '192.168.1.1',
  '100.64.0.1',
  '::1',
  '[::1]',
  'fd12::1',
  '::ffff:127.0.0.1',
  '::ffff:10.0.0.1',
  '64:ff9b::a00:1',
  '64:ff9b:1::10.0.0.1',
  '2002:a00:1::1',
  '2130706433',
  '0x7f000001',
  '0177.0.0.1',
  '127.1',
]
const ALWAYS_BLOCKED = [
  '169.254.169.254',
  '169.254.1.1',
  'fe80::1',
  '::ffff:169.254.169.254',
  '64:ff9b::a9fe:a9fe',
  '2002:a9fe:a9fe::1',
  'fd00:ec2::254',
  '100.100.100.200',
  '168.63.129.16',
  '0.0.0.0',
  '::',
  '255.255.255.255',
  '224.0.0.1',
  'ff02::1',
  '192.0.2.1',
  '2001:0:a9fe:a9fe::1',
  'not an address',
]

test('public addresses are allowed whatever is configured', () => {
  for (const address of PUBLIC)
    for (const allow of [false, true, ['10.0.0.0/8']])
      assert.equal(refusedAddress(address, allow), null, address)
})

test('private addresses need allow_private', () => {
  for (const address of PRIVATE) {
    assert.notEqual(refusedAddress(address, false), null, address)
    assert.equal(refusedAddress(address, true), null, address)
  }
})

test('link-local, metadata, multicast and reserved addresses stay blocked under allow_private: true', () => {
  for (const address of ALWAYS_BLOCKED) assert.notEqual(refusedAddress(address, true), null, address)
})

test('a list opens exactly its ranges, link-local included', () => {
  assert.equal(refusedAddress('10.1.2.3', ['10.1.0.0/16']), null)
  assert.notEqual(refusedAddress('10.2.2.3', ['10.1.0.0/16']), null)
  assert.equal(refusedAddress('::ffff:10.1.2.3', ['10.1.0.0/16']), null)
  assert.equal(refusedAddress('169.254.169.254', ['169.254.169.254/32']), null)
  assert.equal(refusedAddress('127.0.0.1', ['127.0.0.1']), null)
  assert.equal(refusedAddress('fe80::1', ['fe80::/10']), null)
})

test('a host written as an address is recognised in every form', () => {
  for (const host of ['127.0.0.1', '[::1]', '2130706433', '0x7f.1']) assert.equal(isAddress(host), true, host)
  for (const host of ['localhost', 'example.com', '127.0.0.1.example'])
    assert.equal(isAddress(host), false, host)
})
