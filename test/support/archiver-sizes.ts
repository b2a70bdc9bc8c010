/**
 * The archiver's stage on the log and the store of each size, so that one test shows the same of each. A stage is opened
 * once a size and file, and shared by its tests; each has topics of its own.
 */
import { after, test } from 'node:test'
import { openS3Stage } from './s3-stage.ts'
import { openStage, type ArchiverStage } from './archiver-stage.ts'
import { openKafkaStage } from './kafka-log.ts'
import { openS3 } from './services/any-s3.ts'
import { openTestKafka } from './services/kafka.ts'
import { startOrReason } from './services/s3-service.ts'
import { SIZE_NAMES, type SizeName } from './sizes.ts'

/** Made once a file: each of its tests runs on each size, and is skipped with the reason where a server cannot be had. */
export async function archiverSizes(): Promise<
  (name: string, body: (stage: ArchiverStage) => Promise<void>) => void
> {
  const stages = new Map<SizeName, ArchiverStage | string>()
  for (const size of SIZE_NAMES) {
    const stage = await startOrReason(() => openOn(size))
    stages.set(size, stage)
    if (typeof stage !== 'string') after(() => stage[Symbol.asyncDispose]())
  }
  return (name, body) => {
    for (const [size, stage] of stages)
      if (typeof stage === 'string') test(`${name}: ${size}`, { skip: stage })
      else test(`${name}: ${size}`, () => body(stage))
  }
}

async function openOn(size: SizeName): Promise<ArchiverStage> {
  if (size === 'one box') return openStage()
  await using opening = new AsyncDisposableStack()
  const bucket = opening.use(await openS3Stage(opening.use(await openS3())))
  const archive = bucket.open()
  const kafka = size === 'full' ? opening.use(await openTestKafka()) : null
  const stage = opening.use(
    await openStage(archive, kafka === null ? null : opening.use(await openKafkaStage(kafka.brokers))),
  )
  const opened = opening.move()
  return { ...stage, [Symbol.asyncDispose]: () => opened.disposeAsync() }
}
