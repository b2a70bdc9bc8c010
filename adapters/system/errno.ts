/** The name of what the operating system refused, such as ENOENT; null for an error of another kind. */
export function errnoOf(error: unknown): string | null {
  if (!(error instanceof Error) || !('code' in error)) return null
  return typeof error.code === 'string' ? error.code : null
}
