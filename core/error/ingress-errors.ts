/** Errors of the ingress area: what a sender is answered, and what stops the ingress from starting. */
import type { ErrorText } from './error-text.ts'

const read = 'docs/operations.md'

export const ingressErrors = {
  INGRESS_UNKNOWN_SOURCE: {
    what: 'no source of this name is configured',
    events: 'the request was not kept',
    fix: 'add the source to hooktrail.yaml, or correct the URL at the sender',
    read: 'docs/config.md',
  },
  INGRESS_SIGNATURE_REFUSED: {
    what: 'the signature of the request is missing, malformed, wrong or too old',
    events: 'the request was not kept; its rejection is on the rejected topic',
    fix: 'compare the secret of the source with the one at the sender, and both clocks',
    read: 'docs/config.md',
  },
  INGRESS_BODY_TOO_LARGE: {
    what: 'the body is larger than the source allows',
    events: 'the request was not kept; its rejection is on the rejected topic',
    fix: 'raise max_body of the source',
    read: 'docs/config.md',
  },
  INGRESS_SCHEMA_REFUSED: {
    what: 'the body does not fit the schema of the source',
    events: 'the request was not kept; its rejection is on the rejected topic',
    fix: 'mend the body at the sender, register a version that it fits, or set schema.on_failure: accept',
    read: 'docs/schemas.md',
  },
  INGRESS_BODY_INCOMPLETE: {
    what: 'the body ended before all of it arrived',
    events: 'the request was not kept; the sender sends it again',
    fix: 'nothing, unless it repeats: then look at the network between sender and hooktrail',
    read,
  },
  INGRESS_LOG_TIMEOUT: {
    what: 'the log did not acknowledge within the deadline of the source',
    events: 'answered 503; the sender sends the event again, and a copy that did land becomes a duplicate',
    fix: 'hooktrail status',
    read,
  },
  INGRESS_OVERLOADED: {
    what: 'more bytes wait for the log than server.max_inflight_bytes allows',
    events: 'answered 503; the sender sends the event again',
    fix: 'hooktrail status',
    read,
  },
  INGRESS_LOG_DISK_FULL: {
    what: 'the disk of the log is fuller than log.disk.shed allows',
    events: 'answered 503 until there is room; nothing that was acknowledged is lost',
    fix: 'free space, or let the archiver catch up so that the log can be cut',
    read,
  },
  INGRESS_STOPPING: {
    what: 'the process is stopping',
    events: 'answered 503; the sender sends the event again',
    fix: 'nothing: another process takes it, or this one after its restart',
    read,
  },
  INGRESS_SECRET_INVALID: {
    what: 'a source has no secret of the shape that its scheme needs',
    events: 'nothing was started; no event was accepted',
    fix: 'hooktrail validate',
    read: 'docs/config.md',
  },
} as const satisfies Record<string, ErrorText>
