/** Keys that sign the archive: one form each, and the next one beside one that it can replace. */
import { isObject } from '../record/parse-header.ts'
import { archiveKeyFault, archiveKeyMembers, spelledOutKey } from './archive-key-field.ts'
import type { Report } from './config-fault.ts'
import { soundMembers } from './parse-section.ts'

const KEYS = ['signing_key', 'next_signing_key'] as const
const members = Object.keys(archiveKeyMembers.shape)

/** @param root what stands at the root of the file. */
export function checkArchiveKeys(root: ReadonlyMap<string, unknown>, report: Report): void {
  const archive = root.get('archive')
  if (!isObject(archive)) return
  for (const name of KEYS) {
    const value = archive[name]
    if (value === undefined) continue
    const at = ['archive', name]
    const found = soundMembers(archiveKeyMembers, { at, value: spelledOutKey(value) }, members)
    const fault = found && archiveKeyFault(found)
    if (fault !== null) report({ at, message: fault })
  }
}
