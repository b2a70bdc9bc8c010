/**
 * Parameters of the API: a time without a zone is UTC; everything has a bound. What is not valid is told in words that
 * name what may stand there, and what was probably meant.
 */
import { z } from 'zod'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import { isEventId } from '../core/record/event-ids.ts'
import { DEAD_GROUPS } from '../core/ports/dead-letter-store.ts'
import { nearestName } from '../core/nearest-name.ts'
import { parseWrittenTime } from '../core/written-time.ts'

const LIMIT_MAX = 1000
const MANY_JOBS_MAX = 10_000
/** Jobs a second. */
const RATE_MAX = 100_000
/** Of 18 digits at most, which every store can hold. */
export const OFFSET = /^(?:0|[1-9][0-9]{0,17})$/

export const time = z
  .string()
  .max(40)
  .transform((text, context) => {
    const ms = parseWrittenTime(text)
    if (ms !== null) return ms
    context.addIssue('is not a time such as 2026-03-01T12:00:00Z')
    return z.NEVER
  })
export const name = z
  .string()
  .min(1, 'is empty')
  .max(512, 'is longer than 512 characters')
  .refine((text) => !text.includes('\0'), 'holds a NUL')
/**
 * A page goes on behind the id that its cursor is. One of another list compares as well, and would answer with the first
 * page or with none.
 */
function pagingBy(isCursor: (text: string) => boolean) {
  return {
    cursor: name.refine(isCursor, 'is no next of this list').optional(),
    limit: z.coerce.number().int().min(1).max(LIMIT_MAX).default(50),
  }
}
/** Of events, replays and holds. */
export const paging = pagingBy(isEventId)
/** An event's id, a dot and a handler. */
const jobPaging = pagingBy((text) => isEventId(text.split('.', 1).join()) && text.includes('.'))

const span = { since: time.optional(), until: time.optional() }
/** Nothing lies in a span that ends before it begins: its ends were exchanged, and an empty answer would look like one. */
function inOrder<T extends z.ZodType<{ since?: number | undefined; until?: number | undefined }>>(
  schema: T,
): T {
  return schema.refine(
    ({ since, until }) => since === undefined || until === undefined || since <= until,
    'until lies before since',
  )
}

export const eventQuery = inOrder(
  z.strictObject({ source: name.optional(), type: name.optional(), ...span, ...paging }),
)
export const exportQuery = inOrder(
  z.strictObject({
    source: name.optional(),
    ...span,
    limit: z.coerce.number().int().min(1).optional(),
  }),
)
const jobFilter = {
  handler: name.optional(),
  source: name.optional(),
  event_type: name.optional(),
  error: name.optional(),
  ...span,
}
/** `since` and `until` of the time at which a job ended; open ones have none. */
export const jobQuery = inOrder(
  z.strictObject({
    ...jobFilter,
    status: z.enum(['available', 'running', 'retryable', 'completed', 'dead', 'discarded']).optional(),
    ...jobPaging,
  }),
)
export const windowQuery = inOrder(z.strictObject(span))
export const holdQuery = z.strictObject(paging)
export const jobDetailQuery = z.strictObject({ include_attempts: z.enum(['true', 'false']).default('false') })
export const idParams = z.object({ id: name })
export const reason = z.string().min(1).max(1000).optional()
const offset = z.string().regex(OFFSET, 'is not an offset')
const statedReason = z.string({ error: 'is missing' }).min(1, 'is empty').max(1000)

/** One event, one source, or a topic with a range of it. */
export const holdBody = z
  .strictObject({
    event_id: name.optional(),
    source: name.optional(),
    topic: z
      .string()
      .regex(/^[A-Za-z0-9._-]{1,249}$/, 'is no topic')
      .optional(),
    partition: z.number().int().min(0).max(1_000_000).optional(),
    from_offset: offset.optional(),
    to_offset: offset.optional(),
    reason: statedReason,
  })
  .refine(
    ({ event_id, source, topic }) =>
      [event_id, source, topic].filter((part) => part !== undefined).length === 1,
    {
      error: 'names one of event_id, source and topic',
    },
  )
  .refine(
    ({ topic, partition, from_offset, to_offset }) =>
      topic !== undefined || [partition, from_offset, to_offset].every((part) => part === undefined),
    { error: 'has a range without a topic' },
  )
  .refine(({ from_offset: from = '0', to_offset: to }) => to === undefined || BigInt(from) <= BigInt(to), {
    error: 'to_offset lies before from_offset',
  })
export const releaseBody = z.strictObject({ reason: statedReason, release_token: z.string().max(16_384) })
export const reasonBody = z.object({ reason }).nullish()
export const deadQuery = inOrder(
  z.strictObject({
    ...jobFilter,
    by: z
      .string()
      .default('handler,error')
      .transform((text) => text.split(','))
      .pipe(z.array(z.enum(DEAD_GROUPS))),
  }),
)
/** `status` must be said, so that nobody believes that open jobs are meant. */
const many = {
  ...jobFilter,
  status: z.literal('dead'),
  reason,
  dry_run: z.boolean().default(false),
  limit: z.int().min(1).max(MANY_JOBS_MAX).default(1000),
}
export const manyBody = inOrder(z.strictObject(many))
export const rate = z.number().min(0.001).max(RATE_MAX)
export const retryBody = inOrder(z.strictObject({ ...many, rate: rate.optional() }))

/** @throws API_INVALID_REQUEST */
export function parse<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const faults = result.error.issues.map((issue) => faultText(issue, value))
  throw new HooktrailError('API_INVALID_REQUEST', { faults })
}

function faultText(issue: z.core.$ZodIssue, value: unknown): string {
  const name = issue.path.join('.')
  if (issue.code === 'unrecognized_keys') return `${issue.keys.join(', ')}: is no parameter of this route`
  if (issue.code !== 'invalid_value') return name === '' ? issue.message : `${name}: ${issue.message}`
  const allowed = issue.values.map(String)
  const found = z.object({ [name]: z.string() }).safeParse(value).data?.[name]
  const nearest = found === undefined ? null : nearestName(found, allowed)
  const meant = nearest === null ? '' : `; did you mean ${nearest}?`
  return `${name}: must be ${allowed.length === 1 ? '' : 'one of '}${allowed.join(', ')}${meant}`
}
