/** Errors of the store area. */
import type { ErrorText } from './error-text.ts'

export const storeErrors = {} as const satisfies Record<string, ErrorText>
