/** Errors of the config area. */
import type { ErrorText } from './error-text.ts'

export const configErrors = {} as const satisfies Record<string, ErrorText>
