/**
 * Two archivers on one partition, one of them stopped before and after each of its writes while the other goes on, and
 * then let go again, on each size: one chain, each offset once, nothing overwritten. Leases play no part in it.
 */
import assert from 'node:assert/strict'
import { archiverSizes } from '../support/archiver-sizes.ts'
import { archiveAll, partitionOf, stepUntilIdle } from '../support/archiver-stage.ts'
import { HandClock } from '../support/hand-clock.ts'

const testOnSizes = await archiverSizes()

const points = [
  ['data/', 'before'],
  ['data/', 'after'],
  ['segments/', 'before'],
  ['segments/', 'after'],
] as const

for (const [prefix, moment] of points) {
  for (const [ours, theirs] of [
    [40, 0],
    [40, 25],
  ] as const) {
    const name = `${moment}-${prefix.slice(0, -1)}-${theirs}`
    testOnSizes(
      `a writer that wakes up ${moment} its create below ${prefix} finds ${theirs} more records archived`,
      async (stage) => {
        const at = partitionOf(await stage.topic(`${stage.topicPrefix}.events.${name}`))
        const zombie = await stage.seat('zombie')
        const zombieWriter = zombie.writer(at)
        await stage.append(at, ours, 'early')
        await stepUntilIdle(zombieWriter)
        await zombieWriter.seal()
        const held = zombie.archive.hold(prefix, moment)
        const stopped = zombieWriter.step()
        await held.reached

        const other = await stage.seat('other')
        const otherWriter = other.writer(at)
        await stage.append(at, theirs, 'late')
        await archiveAll(otherWriter)

        held.release()
        await stopped
        await stage.append(at, 10, 'last')
        assert.equal(await archiveAll(zombieWriter), 'idle')
        assert.equal(await archiveAll(otherWriter), 'idle')
        await other.heartbeats.step(await stage.log.topics())
        await stage.check([at])
      },
    )
  }
}

testOnSizes('two writers that take turns record by record leave one chain', async (stage) => {
  const at = partitionOf(await stage.topic(`${stage.topicPrefix}.events.turns`))
  const writers = await Promise.all(['a', 'b'].map(async (name) => (await stage.seat(name)).writer(at)))
  for (let round = 0; round < 10; round++) {
    await stage.append(at, 3, `round-${round}`)
    await Promise.all(writers.map((writer) => stepUntilIdle(writer)))
    await Promise.all(writers.map((writer) => archiveAll(writer)))
  }
  await stage.check([at])
})

// Heartbeats of one archive never go back in time, so the second midnight lies a year later.
for (const [moment, year] of [
  ['before', 2027],
  ['after', 2028],
] as const) {
  testOnSizes(
    `a heartbeat writer that is stopped ${moment} its create beyond midnight goes on behind the other's`,
    async (stage) => {
      const at = partitionOf(await stage.topic(`${stage.topicPrefix}.events.midnight-${moment}`))
      const midnight = Date.UTC(year, 0, 1)
      const slow = await stage.seat('slow', { clock: new HandClock(midnight - 30_000) })
      const fast = await stage.seat('fast', { clock: new HandClock(midnight + 30_000) })
      const writer = fast.writer(at)
      await stage.append(at, 5)
      await archiveAll(writer)
      await slow.chain.catchUp()
      slow.clock.advance(60_000)
      const held = slow.archive.hold('heartbeats/', moment)
      const stopped = slow.heartbeats.step(await stage.log.topics())
      const key = await held.reached
      await stage.append(at, 5)
      await archiveAll(writer)
      fast.clock.advance(900_000)
      await fast.heartbeats.step(await stage.log.topics())
      held.release()
      const outcome = await stopped
      assert.equal(outcome, moment === 'before' ? 'lost' : 'signed')
      await stage.append(at, 5)
      await archiveAll(writer)
      for (const seat of [slow, fast]) {
        seat.clock.advance(900_000)
        await seat.heartbeats.step(await stage.log.topics())
      }
      await Promise.all([slow.chain.catchUp(), fast.chain.catchUp()])
      assert.equal(slow.chain.newest?.sha256, fast.chain.newest?.sha256, `one chain goes on from ${key}`)
      await stage.check([at])
    },
  )
}
