/** `hooktrail archive probe`: attacks the deletion lock of the configured bucket as the archiver does at its start, and says what held. */
import { resolve } from 'node:path'
import { Command } from 'commander'
import { systemClock } from '../adapters/system/clock.ts'
import { colorsFor } from '../adapters/system/colors.ts'
import { createLogger } from '../adapters/system/logger.ts'
import { longestOf } from '../core/archive/retention.ts'
import { PROBE_CHECKS, resultOf } from '../core/archive/worm.ts'
import { PROBE_REMEDIES } from '../core/archive/probe-remedies.ts'
import { retentionTerms } from '../core/config/retention-terms.ts'
import type { ProbeReport } from '../core/ports/archive-store.ts'
import { homeOf, loadConfig, overlayOption, type ConfigFlags } from './composition/load-config.ts'
import { openProbe } from './composition/open-worm.ts'
import { tableText } from './table.ts'

const EXIT_NOT_IN_FORCE = 4

interface ProbeFlags extends ConfigFlags {
  readonly json?: boolean
}

export function archiveProbeCommand(): Command {
  return new Command('probe')
    .description(
      'attack the deletion lock of the configured bucket with objects of its own, and say what held',
    )
    .option('-c, --config <file>', 'configuration file', 'hooktrail.yaml')
    .addOption(overlayOption())
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      `
Writes below probe/ in the folder of the archive; what is locked there runs out within two hours.

Examples:
  hooktrail archive probe
  hooktrail archive probe --env production --json

Exit codes: 0 every check passes, 4 one fails or is unproven, 66 the store cannot be used, 78 configuration`,
    )
    .action(async (flags: ProbeFlags) => {
      const report = await probe(flags)
      const result = resultOf(verdictsOf(report))
      console.log(flags.json === true ? JSON.stringify({ result, ...report }) : textOf(report, result))
      process.exitCode = result === 'pass' ? 0 : EXIT_NOT_IN_FORCE
    })
}

async function probe(flags: ConfigFlags): Promise<ProbeReport> {
  const { config } = loadConfig(flags)
  await using opened = new AsyncDisposableStack()
  const place = {
    config,
    home: resolve(homeOf(process.env)),
    clock: systemClock,
    logger: createLogger('warn'),
  }
  const probing = await openProbe(place, opened)
  const terms = retentionTerms(config)
  return await probing.run(terms === null ? 'governance' : longestOf(terms).mode)
}

function verdictsOf({ checks }: ProbeReport) {
  return Object.fromEntries(PROBE_CHECKS.map((check) => [check, checks[check].verdict]))
}

function textOf({ checks }: ProbeReport, result: string): string {
  const rows = PROBE_CHECKS.map((check) => ({ check, ...checks[check] }))
  const columns = [
    { title: 'CHECK', field: 'check' },
    { title: 'VERDICT', field: 'verdict' },
    { title: 'WHAT THE STORE DID', field: 'told' },
  ]
  const remedies = rows.filter(({ verdict }) => verdict !== 'pass')
  return [
    `deletion lock: ${result}`,
    tableText(columns, rows, colorsFor(process.stdout).bold),
    ...remedies.map(({ check }) => `${check}: ${PROBE_REMEDIES[check]}`),
  ].join('\n')
}
