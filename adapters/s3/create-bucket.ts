/** Makes a bucket with Object Lock and versions, or says that one without is there: Object Lock is chosen when a bucket is made. */
import {
  BucketLocationConstraint,
  CreateBucketCommand,
  GetObjectLockConfigurationCommand,
  PutBucketVersioningCommand,
} from '@aws-sdk/client-s3'
import type { S3StoreOptions } from './open-client.ts'
import { contextOf } from './open-context.ts'
import { request, type S3Context } from './request.ts'
import { isDenied, isTaken, isWithoutLock } from './store-error.ts'

export async function createLockedBucket(
  options: S3StoreOptions,
): Promise<'created' | 'exists' | 'without-lock'> {
  const context = contextOf(options)
  try {
    const isNew = await create(context)
    if (!isNew && !(await hasLock(context))) return 'without-lock'
    const { bucket } = options
    await request(context, { key: '' }, (abortSignal) =>
      context.client.send(
        new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration: { Status: 'Enabled' } }),
        { abortSignal },
      ),
    )
    return isNew ? 'created' : 'exists'
  } finally {
    context.client.destroy()
  }
}

/** @returns false where it is there already, and ours */
function create(context: S3Context): Promise<boolean> {
  const { bucket, region } = context.options
  // The list leaves out us-east-1, which must not be named.
  const location = Object.values(BucketLocationConstraint).find((known) => known === region)
  const command = new CreateBucketCommand({
    Bucket: bucket,
    ObjectLockEnabledForBucket: true,
    ...(location === undefined ? {} : { CreateBucketConfiguration: { LocationConstraint: location } }),
  })
  return request(context, { key: '' }, async (abortSignal) => {
    try {
      await context.client.send(command, { abortSignal })
      return true
    } catch (error) {
      if (isTaken(error)) return false
      throw error
    }
  })
}

function hasLock(context: S3Context): Promise<boolean> {
  const command = new GetObjectLockConfigurationCommand({ Bucket: context.options.bucket })
  return request(context, { key: '' }, async (abortSignal) => {
    try {
      const { ObjectLockConfiguration: found } = await context.client.send(command, { abortSignal })
      return found?.ObjectLockEnabled === 'Enabled'
    } catch (error) {
      if (isWithoutLock(error) && !isDenied(error)) return false
      throw error
    }
  })
}
