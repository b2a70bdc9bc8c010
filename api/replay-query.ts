/** What may be asked of a replay. Something must say where it begins, so that nobody replays everything by a slip. */
import { z } from 'zod'
import { compileFilter } from '../core/match/filter.ts'
import { messageOf } from '../core/error/message-of.ts'
import { name, OFFSET, paging, rate, reason, time } from './query.ts'

const EVENTS_MAX = 1_000

/** A string on the wire, as everywhere. */
const offset = z
  .union([z.string(), z.int()])
  .transform(String)
  .refine((text) => OFFSET.test(text), 'is no offset')
  .transform(BigInt)

const filter = z
  .string()
  .min(1, 'is empty')
  .refine((text) => !text.includes('\0'), 'holds a NUL')
  .superRefine((text, context) => {
    try {
      compileFilter(text)
    } catch (error) {
      context.addIssue(messageOf(error))
    }
  })

const scope = {
  source: name.optional(),
  topic: name.optional(),
  partition: z.int().min(0).optional(),
  from_offset: offset.optional(),
  /** Inclusive. */
  to_offset: offset.optional(),
  since: time.optional(),
  until: time.optional(),
  events: z.array(name).min(1).max(EVENTS_MAX).optional(),
  filter: filter.optional(),
}

type Scope = z.output<z.ZodObject<typeof scope>>

/** Each entry: what must not be, and what is said then. */
const RULES: readonly (readonly [(asked: Scope) => boolean, string])[] = [
  [
    ({ from_offset: from, since, events }) =>
      from === undefined && since === undefined && events === undefined,
    'name where it begins: from_offset, since or events (--from-offset, --since, --event)',
  ],
  [
    ({ source, topic }) => source !== undefined && topic !== undefined,
    'source and topic are two names of one thing',
  ],
  [
    ({ from_offset: from, to_offset: to, since, until }) =>
      (from !== undefined || to !== undefined) && (since !== undefined || until !== undefined),
    'a range is either of offsets or of times',
  ],
  [
    ({ from_offset: from = 0n, to_offset: to, since = 0, until }) =>
      (to !== undefined && to < from) || (until !== undefined && until <= since),
    'the range ends before it begins',
  ],
  [
    ({ partition, from_offset: from, to_offset: to, since, until, events }) =>
      events !== undefined && [partition, from, to, since, until].some((value) => value !== undefined),
    'events say where they lie: no range beside them',
  ],
]

function hold(asked: Scope, context: z.RefinementCtx): void {
  for (const [isWrong, said] of RULES) if (isWrong(asked)) context.addIssue(said)
}

export const replayBody = z
  .strictObject({
    ...scope,
    handler: name.optional(),
    /** Instead of a handler; the source is to be said then. */
    to_topic: name.optional(),
    rate: rate.optional(),
    dry_run: z.boolean().default(false),
    reason,
  })
  .superRefine(hold)
  .refine(
    ({ handler, to_topic: to }) => (handler === undefined) !== (to === undefined),
    'name a handler or to_topic',
  )
  .refine(
    ({ to_topic: to, source, topic }) => to === undefined || (source ?? topic) !== undefined,
    'with to_topic name a source or a topic',
  )

/** Nobody's handler: the source is to be said. */
export const recordsBody = z
  .strictObject(scope)
  .superRefine(hold)
  .refine(({ source, topic }) => (source ?? topic) !== undefined, 'name a source or a topic')

export const replayQuery = z.strictObject({ handler: name.optional(), ...paging })
