/**
 * Every operational error that hooktrail raises, once. A test ties this list to docs/errors.md.
 * Each area keeps its own part in a file beside this one.
 */
import { apiErrors } from './api-errors.ts'
import { archiveErrors } from './archive-errors.ts'
import { configErrors } from './config-errors.ts'
import { dispatcherErrors } from './dispatcher-errors.ts'
import { ingressErrors } from './ingress-errors.ts'
import { keyErrors } from './key-errors.ts'
import { logErrors } from './log-errors.ts'
import { moveErrors } from './move-errors.ts'
import { queueErrors } from './queue-errors.ts'
import { schemaErrors } from './schema-errors.ts'
import { storeErrors } from './store-errors.ts'

export const catalogue = {
  ...apiErrors,
  ...archiveErrors,
  ...configErrors,
  ...dispatcherErrors,
  ...ingressErrors,
  ...keyErrors,
  ...logErrors,
  ...moveErrors,
  ...queueErrors,
  ...schemaErrors,
  ...storeErrors,
}

export type ErrorCode = keyof typeof catalogue

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(catalogue, text)
}
