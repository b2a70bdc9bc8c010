/** A process that creates objects until it is killed: `<folder> <name> <size>`. Says each key before it writes it. */
import { writeSync } from 'node:fs'
import { openDirectoryStore } from '../../adapters/directory/directory-store.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import { objectOf } from '../contract/archive-store.ts'
import { silentLogger } from './archive-builder.ts'

const OBJECTS_MAX = 500
const [folder = '', name = '', size = '0'] = process.argv.slice(2)

const store = await openDirectoryStore(folder, { clock: systemClock, logger: silentLogger })
for (let index = 0; index < OBJECTS_MAX; index++) {
  const key = `w${name}/${String(index)}`
  writeSync(1, `${key}\n`)
  await store.create(objectOf(key, Buffer.alloc(Number(size), key.length)))
}
