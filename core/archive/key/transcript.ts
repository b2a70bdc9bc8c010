/** One page about a ceremony, to be printed, signed by hand and kept: who, when, which keys, what goes where, and how to check. */
import type { Delegation } from './delegation.ts'
import { fingerprintOf } from './fingerprint.ts'

export interface Transcript {
  readonly delegation: Delegation
  /** Who was there. */
  readonly witnesses: readonly string[]
  /** Name of the program, with its version. */
  readonly program: string
  /** False where the signing key was made elsewhere. */
  readonly madeSigningKey: boolean
}

export function transcriptText({ delegation, witnesses, program, madeSigningKey }: Transcript): string {
  const { archive_id: archiveId, created_at: createdAt, root_key: rootKey, key, until } = delegation
  const present = witnesses.length === 0 ? ['(name)'] : witnesses
  return `KEYS OF AN ARCHIVE: TRANSCRIPT

Made at          ${createdAt}, by ${program}
Archive          ${archiveId}
Root key         ${rootKey}
  fingerprint    ${fingerprintOf(rootKey)}
Signing key      ${key}
  fingerprint    ${fingerprintOf(key)}
  holds until    ${until ?? 'replaced'}

WHAT TO KEEP WHERE
  root.key         offline, twice, in two safes. Whoever has it can bring any key into force.
                   It is needed again for each new signing key, and nowhere else.
${madeSigningKey ? '  archive.key      the archiver: $HOOKTRAIL_HOME/keys/archive.key, or archive.signing_key. Nowhere else.\n' : ''}  archive.note     the archiver: $HOOKTRAIL_HOME/keys/archive.note, or archive.delegations. Not secret.
  archive.pub      everybody who is to verify: the auditor, by another way than the archive. Also
                   $HOOKTRAIL_HOME/keys/archive.pub, or archive.public_key. Not secret.
  this page        with the root key, and a copy with the auditor.

HOW TO CHECK, each by somebody else
  hooktrail keys show archive.pub --fingerprint       the root's fingerprint above
  hooktrail keys delegation archive.note              both fingerprints, the archive and the date above
  ls -l root.key${madeSigningKey ? ' archive.key' : ''}              -rw-------
Once the archive is there:
  hooktrail archive verify LOCATION --key archive.pub   exit 0, and the root's name in the report

BEFORE THE MACHINE IS SWITCHED OFF
  [ ] root.key is on two carriers, each was read back      [ ] no copy of it stays on this machine
  [ ] archive.pub and this page are printed                 [ ] nobody left with root.key unseen

PRESENT
${present.map((name) => `  ${name.padEnd(40)} ${'_'.repeat(36)}`).join('\n')}
`
}
