/** A verification report for people: the verdict first, then what it rests on, then every finding. */
import type { Finding } from '../core/archive/verify/finding.ts'
import type { VerifyReport } from '../core/archive/verify/verify-report.ts'

export function reportText(report: VerifyReport): string {
  const last = report.lastHeartbeat
  const lines = [
    `${report.verdict} (exit ${String(report.exitCode)})`,
    `archive ${report.archiveId ?? 'unknown'} at ${report.location}, level ${String(report.level)}`,
    `${report.records} records in ${String(report.manifests)} segments, ${String(report.heartbeats)} heartbeats, ${report.bytes} bytes read`,
    last === null ? 'no heartbeat yet' : `last heartbeat ${last.n} of ${last.createdAt}`,
  ]
  if (report.staleAfter !== null) {
    lines.push(
      `counts as stale after ${report.staleAfter} (signed cadence and ${String(report.graceSeconds)} s of grace)`,
    )
  }
  lines.push(...keyLines(report))
  if (last !== null) lines.push(...anchorLines(report))
  lines.push(...report.findings.map(findingText))
  if (report.findingsDropped > 0) lines.push(`and ${String(report.findingsDropped)} more findings`)
  return lines.join('\n')
}

/** Of an archive that one key has signed from the beginning there is nothing to say. */
function keyLines({ keys, rootKey }: VerifyReport): readonly string[] {
  if (keys.length < 2 && rootKey === null) return []
  const root =
    rootKey === null ? 'no root key: each key was introduced by the one before it' : `root key ${rootKey}`
  return [root, ...keys.map(keyText)]
}

function keyText({ key, fromHeartbeat, since, until, reason }: VerifyReport['keys'][number]): string {
  const from = fromHeartbeat === null ? 'no heartbeat yet' : `from heartbeat ${fromHeartbeat} on`
  const end = until === null ? '' : `, until ${until}`
  const alone = reason === null ? '' : `, without the key before it: ${reason}`
  return `signed by ${key} since ${since}, ${from}${end}${alone}`
}

/** After the newest anchor the key holder could have written anything. */
function anchorLines({ anchors }: VerifyReport): readonly string[] {
  if (anchors.length === 0) return ['not anchored by a third party: you trust the holder of the key']
  return anchors.map(
    ({ heartbeat, at, by, grade }) =>
      `anchored up to heartbeat ${heartbeat} at ${at} by ${by} (${GRADES[grade]}); after that you trust the holder of the key`,
  )
}

const GRADES = {
  vouched: 'its certificate is vouched for by the one given',
  stamped: 'no certificate of the authority was given: anybody could have made it',
  pushed: 'a receipt of the archiver: ask there',
} as const

function findingText({ severity, code, object, offset, text }: Finding): string {
  const where = offset === undefined ? object : `${object} at offset ${offset}`
  return `${severity}  ${code}  ${where}: ${text}`
}
