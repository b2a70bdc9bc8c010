/**
 * Object lock: only a bucket has one, whoever turns it on says for how long, and compliance is said twice, since nobody,
 * not even the owner of the store, can shorten it afterwards. Nothing of it stands beside `worm: off`, which would not read it.
 */
import { isObject } from '../record/parse-header.ts'
import { formatDuration } from '../units.ts'
import type { Report } from './config-fault.ts'
import { soundMembers, type Part } from './parse-section.ts'
import { retentionSchema, sectionSchemas } from './schema.ts'

const archiveKeys = Object.keys(sectionSchemas.archive.shape)
const retentionKeys = Object.keys(retentionSchema.shape)
const wormMember = sectionSchemas.archive.pick({ driver: true, worm: true }).strip()

/** @param root what stands at the root of the file. */
export function checkWorm(root: ReadonlyMap<string, unknown>, report: Report): void {
  const archive = root.get('archive') ?? {}
  const part = { at: ['archive'], value: archive }
  const members = soundMembers(wormMember, part, archiveKeys)
  if (members === null || !isObject(archive)) return
  const isOn = members.worm !== 'off'
  if (isOn && members.driver !== 's3') {
    report({
      at: ['archive', 'worm'],
      message: `is ${members.worm}, and a folder has no object lock`,
      hint: 'driver: s3',
    })
    return
  }
  const given = retentionsIn(root, archive)
  for (const { at, value } of given)
    if (!isOn) report({ at, message: 'is read where archive.worm is on alone', hint: 'worm: required' })
    else checkRetention({ at, value }, report)
  if (isOn && archive['retention'] === undefined)
    report({
      at: ['archive', 'worm'],
      message: `is ${members.worm}, and how long objects are to be locked is not said`,
      hint: 'retention: { mode: governance, period: 1d }',
    })
}

/** Everywhere that a retention may stand. */
function retentionsIn(root: ReadonlyMap<string, unknown>, archive: Record<string, unknown>): readonly Part[] {
  const byTopic = archive['retention_by_topic']
  const sources = root.get('sources')
  const parts: Part[] = [{ at: ['archive', 'retention'], value: archive['retention'] }]
  for (const [topic, value] of Object.entries(isObject(byTopic) ? byTopic : {}))
    parts.push({ at: ['archive', 'retention_by_topic', topic], value })
  for (const [name, source] of Object.entries(isObject(sources) ? sources : {}))
    if (isObject(source))
      parts.push({ at: ['sources', name, 'archive_retention'], value: source['archive_retention'] })
  return parts.filter(({ value }) => value !== undefined)
}

function checkRetention(part: Part, report: Report): void {
  const found = soundMembers(retentionSchema, part, retentionKeys)
  if (found === null) return
  const { mode, period, confirm } = found
  if (mode === 'governance' && confirm !== undefined)
    report({ at: [...part.at, 'confirm'], message: 'stands beside governance, which needs none' })
  if (mode === 'compliance' && confirm !== period)
    report({
      at: part.at,
      message: 'is compliance: nobody can shorten it or delete anything before, so its period is said twice',
      hint: `confirm: ${formatDuration(period)}`,
    })
}
