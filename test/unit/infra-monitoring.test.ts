/** What Prometheus asks and Grafana draws is what hooktrail has. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'yaml'
import { metricsCatalogue } from '../../core/metrics-catalogue.ts'
import { projectFile, readComposeFile } from '../support/compose-file.ts'

interface Target {
  readonly expr: string
  readonly legendFormat: string
}

interface Dashboard {
  readonly panels: readonly {
    readonly title: string
    readonly datasource: { readonly uid: string }
    readonly targets: readonly Target[]
  }[]
}

const dashboard = JSON.parse(projectFile('infra/grafana/dashboards/hooktrail.json')) as Dashboard

test('the dashboard draws metrics of the catalogue, by labels that they have', () => {
  for (const { title, targets } of dashboard.panels) {
    assert.ok(targets.length > 0, title)
    for (const { expr, legendFormat } of targets) {
      const [, name = '', suffix = ''] = /hooktrail_(\w+?)(_bucket|_sum|_count)?(?=[[)])/.exec(expr) ?? []
      const metric = metricsCatalogue[name]
      assert.ok(metric, `${title}: ${expr}`)
      assert.equal(metric.kind === 'histogram', suffix !== '', `${title}: ${expr}`)
      assert.equal(metric.kind === 'gauge', !/rate\(|increase\(/.test(expr), `${title}: ${expr}`)
      const grouped = [...expr.matchAll(/by \(([^)]*)\)/g)].flatMap(([, labels = '']) => labels.split(', '))
      const drawn = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label = '']) => label)
      const known = [...metric.labels, ...(suffix === '_bucket' ? ['le'] : [])]
      assert.deepEqual(
        [...grouped, ...drawn].filter((label) => !known.includes(label)),
        [],
        `${title}: ${expr}`,
      )
    }
  }
})

test('Prometheus asks every process, and Grafana asks Prometheus', () => {
  const { services } = readComposeFile()
  const scrape = parse(projectFile('infra/prometheus/prometheus.yaml')) as {
    readonly scrape_configs: readonly {
      readonly dns_sd_configs: readonly { readonly names: readonly string[]; readonly port: number }[]
    }[]
  }
  const asked = scrape.scrape_configs.flatMap(({ dns_sd_configs }) => dns_sd_configs)
  assert.deepEqual(
    asked.flatMap(({ names }) => names),
    [...services]
      .filter(([, { image, command = [] }]) => image.startsWith('hooktrail:') && command.length > 0)
      .map(([name]) => name),
  )
  const { datasources } = parse(projectFile('infra/grafana/provisioning/datasources/prometheus.yaml')) as {
    readonly datasources: readonly { readonly uid: string; readonly url: string }[]
  }
  const [source] = datasources
  assert.ok(services.has(new URL(source?.url ?? '').hostname))
  assert.deepEqual([...new Set(dashboard.panels.map(({ datasource }) => datasource.uid))], [source?.uid])
})
