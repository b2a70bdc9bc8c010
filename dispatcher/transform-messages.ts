/** What a dispatcher and the process that evaluates transforms say to each other, checked on both sides. */
import { z } from 'zod'

export const transformTask = z.strictObject({
  source: z.string(),
  payload: z.string(),
  event: z.strictObject({
    id: z.string(),
    source: z.string(),
    type: z.string(),
    subject: z.string().nullable(),
    received_at: z.string(),
  }),
  headers: z.record(z.string(), z.string()),
})
export type TransformTask = z.infer<typeof transformTask>

/** First that the process is ready, then one answer to each task. */
export const transformAnswer = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('ready') }),
  z.strictObject({ kind: z.literal('body'), body: z.string(), contentType: z.string() }),
  z.strictObject({ kind: z.literal('error'), detail: z.string() }),
])
export type TransformAnswer = z.infer<typeof transformAnswer>
