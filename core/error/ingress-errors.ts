/** Errors of the ingress area. */
import type { ErrorText } from './error-text.ts'

export const ingressErrors = {} as const satisfies Record<string, ErrorText>
