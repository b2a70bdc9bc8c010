// Writes the pages that are lists of what the code has: docs/errors.md and docs/metrics.md. A test compares them.
import { writeFileSync } from 'node:fs'
import { catalogue } from '../core/error/catalogue.ts'
import { metricsCatalogue } from '../core/metrics-catalogue.ts'

const errors = Object.keys(catalogue)
  .sort()
  .map((code) => {
    const { what, events, fix, read } = catalogue[code]
    return `## ${code}\n${what}\n\n- For events: ${events}\n- Do: \`${fix}\`\n- Read on: ${read}\n`
  })
writeFileSync(
  'docs/errors.md',
  `# Errors\nEvery error has a stable code and four parts: what happened, what it means for events, what to do, where to read on.\n\n${errors.join('\n')}`,
)

const metrics = Object.keys(metricsCatalogue)
  .sort()
  .map((name) => {
    const { help, labels, kind } = metricsCatalogue[name]
    return `| \`hooktrail_${name}\` | ${kind} | ${labels.map((label) => `\`${label}\``).join(' ') || '-'} | ${help} |`
  })
writeFileSync(
  'docs/metrics.md',
  `# Metrics\nPrometheus, at \`GET /metrics\`. Label values are bounded: names from the configuration, fixed classes.\n\n| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n${metrics.join('\n')}\n`,
)
