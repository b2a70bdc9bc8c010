/** Errors of the api area: what a caller of the API is answered, and what the command line reports. */
import type { ErrorText } from './error-text.ts'

const read = 'docs/operations.md'

export const apiErrors = {
  API_UNAUTHORIZED: {
    what: 'the request carries no valid token',
    events: 'nothing was read or changed',
    fix: 'send authorization: Bearer with the token of api.auth_token, or of $HOOKTRAIL_HOME/token',
    read,
  },
  API_INVALID_REQUEST: {
    what: 'a parameter of the request is not valid',
    events: 'nothing was changed',
    fix: 'correct the parameter that details name',
    read,
  },
  API_NOT_FOUND: {
    what: 'there is no such event',
    events: 'nothing was changed; what is past its retention in the store is still in the archive',
    fix: 'look for the id with hooktrail events list or hooktrail archive cat',
    read,
  },
  API_HOLD_NOT_FOUND: {
    what: 'there is no legal hold of this id',
    events: 'nothing was changed',
    fix: 'hooktrail archive holds',
    read: 'docs/stores.md',
  },
  API_HOLD_WITHOUT_LOCK: {
    what: 'a legal hold needs a store that locks, and archive.worm is off',
    events: 'nothing was changed; whoever can write the archive can delete from it',
    fix: 'archive.worm: required, in a bucket with Object Lock',
    read: 'docs/stores.md',
  },
  API_RELEASE_REFUSED: {
    what: 'a legal hold is released with a second token, which was not given, is another one, or is not configured',
    events: 'nothing was changed; what is held stays held',
    fix: 'set api.release_token, and give it as HOOKTRAIL_RELEASE_TOKEN',
    read: 'docs/stores.md',
  },
  API_JOB_NOT_FOUND: {
    what: 'there is no such job',
    events: 'nothing was changed; what is past its retention in the store is still in the archive',
    fix: 'hooktrail jobs list; the id of a job is EVENT.HANDLER, and hooktrail events get EVENT shows the jobs of an event',
    read,
  },
  API_HANDLER_NOT_FOUND: {
    what: 'there is no handler of this name',
    events: 'nothing was changed',
    fix: 'hooktrail handlers list',
    read,
  },
  API_SOURCE_NOT_FOUND: {
    what: 'there is no source of this name',
    events: 'nothing was changed',
    fix: 'hooktrail report names the sources; details may name the nearest',
    read,
  },
  API_REPLAY_NOT_FOUND: {
    what: 'there is no such replay',
    events: 'nothing was changed',
    fix: 'hooktrail replay list',
    read: 'docs/replay.md',
  },
  API_REPLAY_REFUSED: {
    what: 'the replay is in a state in which this cannot be done',
    events: 'nothing was changed; it goes on, waits or is over as hooktrail replay show says',
    fix: 'hooktrail replay show ID; what is over or cancelled stays so, and a new replay may take the rest',
    read: 'docs/replay.md',
  },
  API_REPLAYS_TOO_MANY: {
    what: 'the handler has as many open replays as it may have',
    events: 'nothing was changed',
    fix: 'wait until one is over, or hooktrail replay cancel ID; dry runs that are counted are open, too',
    read: 'docs/replay.md',
  },
  REPLAY_TOPIC_REFUSED: {
    what: 'a replay cannot write into this topic',
    events: 'nothing is written; a replay that is under way waits, and goes on when the topic is there again',
    fix: 'name a topic of the same cluster that is there and not one of hooktrail, or hooktrail replay cancel ID',
    read: 'docs/replay.md',
  },
  REPLAY_FILE_UNWRITABLE: {
    what: 'the file that records shall be written to cannot be made or written; one that is there is never overwritten',
    events: 'nothing was changed or delivered',
    fix: 'name a new file in a folder that can be written, or --to stdout',
    read: 'docs/replay.md',
  },
  API_NO_ROUTE: {
    what: 'there is no such route',
    events: 'the request was not kept and nothing was changed',
    fix: 'the API is under /api (on api.listen where that is set), webhooks go to POST /webhooks/SOURCE; see docs/api.md',
    read: 'docs/api.md',
  },
  API_METHOD_NOT_ALLOWED: {
    what: 'the route does not take this method',
    events: 'the request was not kept and nothing was changed',
    fix: 'use a method that the Allow header names; see docs/api.md',
    read: 'docs/api.md',
  },
  API_PAYLOAD_GONE: {
    what: 'the payload of an event is neither in the log nor in an archive that this process can read',
    events: 'the event was delivered or not as its jobs say; its bytes are where the archive is',
    fix: 'ask a process that sees the archive, or hooktrail archive cat there',
    read,
  },
  API_JOB_NOT_DEAD: {
    what: 'only a dead job can be retried',
    events: 'nothing was changed; an open job is delivered without help',
    fix: 'hooktrail jobs get ID',
    read,
  },
  API_REASON_REQUIRED: {
    what: 'this change needs a reason, and none was given',
    events: 'nothing was changed',
    fix: 'repeat it with a reason (--reason TEXT): discarding always needs one, other changes under api.require_reason',
    read,
  },
  API_BUSY: {
    what: 'another report is being made, and as many as may wait for it do',
    events: 'nothing was changed; events are accepted and delivered as ever',
    fix: 'ask again later: a report reads everything that is held, so that only one runs at a time',
    read,
  },
  API_REPORT_GIVEN_UP: {
    what: 'the report took longer than two minutes and was given up',
    events: 'nothing was changed; events are accepted and delivered as ever',
    fix: 'hooktrail status says whether the database answers; where it only holds much, ask at a quiet time',
    read,
  },
  API_INTERNAL: {
    what: 'the request failed inside hooktrail',
    events: 'acknowledged events are unaffected',
    fix: 'read the log of the process for the time of the request',
    read,
  },
  API_TOKEN_MISSING: {
    what: 'there is no token for the API in any place where it is looked for',
    events: 'nothing was read or changed',
    fix: 'run the command in the folder of hooktrail start, or name its folder in HOOKTRAIL_HOME or the token in HOOKTRAIL_TOKEN',
    read,
  },
  SEND_FILE_UNREADABLE: {
    what: 'the file that shall be sent cannot be read',
    events: 'nothing was sent',
    fix: "hooktrail send SOURCE @FILE, or hooktrail send SOURCE '{...}'",
    read: 'docs/api.md',
  },
  API_UNREACHABLE: {
    what: 'the API of hooktrail does not answer',
    events: 'nothing was read or changed by this command',
    fix: 'start it with hooktrail start, or name it with --url',
    read,
  },
  API_REQUEST_REFUSED: {
    what: 'the API refused the request',
    events: 'nothing was changed by this command',
    fix: 'see the answer in the details',
    read,
  },
  PORT_IN_USE: {
    what: 'the address to listen on is not free',
    events: 'nothing was started and nothing accepted here',
    fix: 'stop the process that listens there, or name another address in hooktrail.yaml',
    read: 'docs/config.md',
  },
  DATABASE_URL_MISSING: {
    what: 'a process that runs alone shares its database with others, and database.url names none',
    events: 'nothing was started: a Postgres of its own would be seen by no other process',
    fix: 'set database.url for every process, or run all of them in one with hooktrail start',
    read: 'docs/sizes.md',
  },
  DIGEST_KEY_MISSING: {
    what: 'digest_key is required where the database is not our own',
    events: 'nothing was started: processes with different keys would not recognise each other’s duplicates',
    fix: 'set digest_key to the same secret for every process',
    read: 'docs/config.md',
  },
} as const satisfies Record<string, ErrorText>
