/** The rules for Prometheus: they name metrics and labels that there are, and each has its page. Prometheus itself is not here. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'yaml'
import { z } from 'zod'
import { metricsCatalogue } from '../../core/metrics-catalogue.ts'
import { projectFile } from '../support/compose-file.ts'

const rulesSchema = z.strictObject({
  groups: z.array(
    z.strictObject({
      name: z.string(),
      rules: z.array(
        z.strictObject({
          alert: z.string().regex(/^Hooktrail[A-Z]\w+$/),
          expr: z.string(),
          for: z
            .string()
            .regex(/^\d+m$/)
            .optional(),
          labels: z.strictObject({ severity: z.enum(['warning', 'critical']) }),
          annotations: z.strictObject({ summary: z.string(), runbook: z.string() }),
        }),
      ),
    }),
  ),
})

const rules = rulesSchema
  .parse(parse(projectFile('infra/prometheus/alerts.yml')))
  .groups.flatMap((group) => group.rules)

test('every rule names metrics of the catalogue, and only labels that they have', () => {
  for (const { alert, expr, annotations } of rules) {
    const names = [...expr.matchAll(/hooktrail_(\w+)/g)].flatMap(([, name]) => name ?? [])
    const labels = new Set(names.flatMap((name) => metricsCatalogue[name]?.labels ?? []))
    for (const name of names) assert.ok(name in metricsCatalogue, `${alert}: ${name}`)
    const grouped = [...expr.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list]) => list?.split(', ') ?? [])
    const matched = [...expr.matchAll(/\{(\w+)="/g)].flatMap(([, label]) => label ?? [])
    const shown = [...annotations.summary.matchAll(/\$labels\.(\w+)/g)].flatMap(([, label]) => label ?? [])
    if (names.length === 0) continue
    for (const label of [...grouped, ...matched, ...shown]) assert.ok(labels.has(label), `${alert}: ${label}`)
    for (const label of shown) assert.ok(grouped.includes(label), `${alert} keeps ${label}`)
  }
})

test('every rule has its section, and every section its rule', () => {
  const sections = [...projectFile('docs/alerts.md').matchAll(/^## (\w+)$/gm)].map(([, name]) => name)
  assert.deepEqual(rules.map(({ alert }) => alert).toSorted(), sections.toSorted())
  const links = [...projectFile('docs/alerts.md').matchAll(/\]\((\w+\.md)/g)].map(([, page]) => page ?? '')
  for (const page of links) assert.notEqual(projectFile(`docs/${page}`), '')
  for (const { alert, annotations } of rules)
    assert.equal(annotations.runbook, `docs/alerts.md#${alert.toLowerCase()}`)
})

test('Prometheus of docker-compose.yml loads the rules', () => {
  assert.match(projectFile('infra/prometheus/prometheus.yaml'), /rule_files: \[alerts\.yml\]/)
  assert.match(
    projectFile('docker-compose.yml'),
    /infra\/prometheus\/alerts\.yml:\/etc\/prometheus\/alerts\.yml:ro/,
  )
})
