/** Errors of the dispatcher area. */
import type { ErrorText } from './error-text.ts'

export const dispatcherErrors = {} as const satisfies Record<string, ErrorText>
