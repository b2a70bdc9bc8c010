/** W3C Trace Context, version 00 and its shape in later ones: what is not that is not passed on. */
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

export function isTraceparent(text: string): boolean {
  return TRACEPARENT.test(text)
}
