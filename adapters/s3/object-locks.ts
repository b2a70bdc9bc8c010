/**
 * Locks and legal holds of single objects. A HEAD names both, but leaves out what its caller may not see, which looks like
 * no lock at all: where it names none the store is asked by itself, and a refusal is `unknown`, never `none`.
 */
import {
  GetObjectLegalHoldCommand,
  GetObjectRetentionCommand,
  HeadObjectCommand,
  PutObjectLegalHoldCommand,
  PutObjectRetentionCommand,
} from '@aws-sdk/client-s3'
import type { ObjectLock, ObjectProtection } from '../../core/ports/archive-store.ts'
import { request, type S3Context } from './request.ts'
import { isDenied, isWithoutLock } from './store-error.ts'

/** @param mode by the store's own name */
export function lockOf(mode: string | undefined, until: Date | undefined): ObjectLock | null {
  if (mode === undefined || until === undefined) return null
  return { mode: mode === 'COMPLIANCE' ? 'compliance' : 'governance', untilMs: until.getTime() }
}

/** Rejects as a HEAD does where there is no such key. */
export async function readProtection(
  context: S3Context,
  key: string,
  abortSignal: AbortSignal,
): Promise<ObjectProtection> {
  const head = await context.client.send(new HeadObjectCommand(at(context, key)), { abortSignal })
  const lock = lockOf(head.ObjectLockMode, head.ObjectLockRetainUntilDate)
  const hold = head.ObjectLockLegalHoldStatus
  return {
    lock: lock ?? (await askRetention(context, key, abortSignal)),
    isHeld: hold === undefined ? await askHold(context, key, abortSignal) : hold === 'ON',
  }
}

async function askRetention(
  context: S3Context,
  key: string,
  abortSignal: AbortSignal,
): Promise<ObjectProtection['lock']> {
  const command = new GetObjectRetentionCommand(at(context, key))
  const answer = await orDenied(context.client.send(command, { abortSignal }))
  if (answer === 'denied') return 'unknown'
  return lockOf(answer?.Retention?.Mode, answer?.Retention?.RetainUntilDate)
}

async function askHold(
  context: S3Context,
  key: string,
  abortSignal: AbortSignal,
): Promise<ObjectProtection['isHeld']> {
  const command = new GetObjectLegalHoldCommand(at(context, key))
  const answer = await orDenied(context.client.send(command, { abortSignal }))
  return answer === 'denied' ? 'unknown' : answer?.LegalHold?.Status === 'ON'
}

/** @returns null where the store has no lock to tell of */
async function orDenied<T>(answer: Promise<T>): Promise<T | 'denied' | null> {
  try {
    return await answer
  } catch (error) {
    if (isDenied(error)) return 'denied'
    if (isWithoutLock(error)) return null
    throw error
  }
}

export function extendLock(context: S3Context, key: string, { mode, untilMs }: ObjectLock): Promise<void> {
  const command = {
    ...at(context, key),
    Retention: { Mode: modeName(mode), RetainUntilDate: new Date(untilMs) },
  }
  return request(context, { key }, async (abortSignal) => {
    await context.client.send(new PutObjectRetentionCommand(command), { abortSignal })
  })
}

export function setHold(context: S3Context, key: string, isHeld: boolean): Promise<void> {
  const command = { ...at(context, key), LegalHold: { Status: isHeld ? ('ON' as const) : ('OFF' as const) } }
  return request(context, { key }, async (abortSignal) => {
    await context.client.send(new PutObjectLegalHoldCommand(command), { abortSignal })
  })
}

export function modeName(mode: ObjectLock['mode']): 'GOVERNANCE' | 'COMPLIANCE' {
  return mode === 'governance' ? 'GOVERNANCE' : 'COMPLIANCE'
}

function at({ options, folder }: S3Context, key: string): { Bucket: string; Key: string } {
  return { Bucket: options.bucket, Key: folder + key }
}
