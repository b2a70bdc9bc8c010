/** Errors of the keys that sign for the archive: who keeps them, who introduced them, how long they hold. */
import type { ErrorText } from './error-text.ts'

const read = 'docs/keys.md'

export const keyErrors = {
  ARCHIVE_SIGNER_FAILED: {
    what: 'the key that signs for the archive cannot be had, or did not sign',
    events:
      'events are received and delivered as ever; what is not archived stays in the log, which is not cut until then',
    fix: 'run the command of archive.signing_key by hand as the user of hooktrail; when it works again archiving goes on by itself',
    read,
  },
  ARCHIVE_KEY_RETIRED: {
    what: "another key took the place of this archiver's key",
    events:
      'events are received and delivered as ever; an archiver with the new key archives on, what is not archived stays in the log',
    fix: 'set archive.signing_key to the new key (keys show names it), and restart this archiver',
    read,
  },
  ARCHIVE_KEY_EXPIRED: {
    what: 'the key that signs for the archive has run out: what it signs now nobody may believe',
    events:
      'events are received and delivered as ever; what is not archived stays in the log, which is not cut until then',
    fix: 'hooktrail keys rotate',
    read,
  },
  ARCHIVE_DELEGATION_INVALID: {
    what: "the root's word for a key is missing, or does not fit this archive and its keys",
    events: 'the key is not believed and signs nothing; events in the log are untouched',
    fix: 'hooktrail keys delegate, where the root key lies, for the request that hooktrail keys rotate wrote',
    read,
  },
  KEYS_PLACE_REFUSED: {
    what: 'keys cannot be written there',
    events: 'nothing was written',
    fix: 'name a new folder outside $HOOKTRAIL_HOME: no key is ever written over',
    read,
  },
  KEYS_ROTATION_IMPOSSIBLE: {
    what: 'the key of this archive cannot be replaced from here',
    events: 'nothing was changed',
    fix: 'hooktrail keys rotate, on the machine and with the configuration of the archiver',
    read,
  },
} as const satisfies Record<string, ErrorText>
