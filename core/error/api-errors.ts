/** Errors of the api area. */
import type { ErrorText } from './error-text.ts'

export const apiErrors = {} as const satisfies Record<string, ErrorText>
