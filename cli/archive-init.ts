/**
 * `hooktrail archive init s3://bucket/prefix`: makes the bucket (versions, Object Lock) and says what the configuration needs,
 * or prints everything, three IAM documents among it, for Terraform or the AWS command line. It makes no policies itself:
 * those belong to whoever administers the store.
 */
import { Command, Option } from 'commander'
import { systemClock } from '../adapters/system/clock.ts'
import { createLogger } from '../adapters/system/logger.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import type { BucketPlace } from '../core/archive/bucket-setup.ts'
import { awsCliText } from './bucket-setup/aws-cli-text.ts'
import { terraformText } from './bucket-setup/terraform-text.ts'
import { parseLocation, storeOfEnvironment } from './open-archive.ts'

const PRINTERS = { terraform: terraformText, 'aws-cli': awsCliText } as const

interface InitFlags {
  readonly print?: keyof typeof PRINTERS
}

export function archiveInitCommand(): Command {
  return new Command('init')
    .description(
      'make a bucket for the archive, or print how: Object Lock, versions, policies, IAM documents',
    )
    .argument('<location>', 's3://bucket/prefix')
    .addOption(new Option('--print <form>', 'print and change nothing').choices(Object.keys(PRINTERS)))
    .addHelpText(
      'after',
      `
The store is the environment's: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL_S3.

Examples:
  hooktrail archive init s3://trail/production --print terraform
  hooktrail archive init s3://trail/production

Exit codes: 0 made or printed, 64 usage, 66 the store refuses it`,
    )
    .action(async (location: string, { print }: InitFlags) => {
      const place = parseLocation(location)
      if (print === undefined) await make(place)
      else console.log(PRINTERS[print](place))
    })
}

async function make(place: BucketPlace): Promise<void> {
  const { createLockedBucket } = await import('../adapters/s3/create-bucket.ts')
  const options = { ...storeOfEnvironment(), ...place, clock: systemClock, logger: createLogger('warn') }
  const made = await createLockedBucket(options)
  if (made === 'without-lock') throw new HooktrailError('ARCHIVE_BUCKET_UNLOCKED', { bucket: place.bucket })
  console.log(configurationText(place))
  console.error(
    `hooktrail: ${made === 'created' ? 'made' : 'found'} ${place.bucket} with versions and Object Lock; ` +
      `for policies see hooktrail archive init s3://${[place.bucket, place.prefix].filter(Boolean).join('/')} --print aws-cli`,
  )
}

/** A day can be waited for; longer ones are chosen by whoever has seen it work. */
function configurationText({ bucket, prefix }: BucketPlace): string {
  return [
    'archive:',
    '  driver: s3',
    `  bucket: ${bucket}`,
    ...(prefix === '' ? [] : [`  prefix: ${prefix}`]),
    '  worm: required',
    '  retention: { mode: governance, period: 1d }',
  ].join('\n')
}
