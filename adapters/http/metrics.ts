/** The Metrics port on prom-client, with the names of core/metrics-catalogue.ts and a registry of its own. */
import { AggregatorRegistry, Counter, Gauge, Histogram, Registry } from 'prom-client'
import { metricsCatalogue, type MetricSpec } from '../../core/metrics-catalogue.ts'
import type { Metrics } from '../../core/ports/metrics.ts'

type Labels = Readonly<Record<string, string>>

/** All samples of one registry, as plain data that may cross a thread. */
export type MetricSamples = Awaited<ReturnType<Registry['getMetricsAsJSON']>>

export interface PrometheusMetrics extends Metrics {
  samples(): Promise<MetricSamples>
}

export const EXPOSITION_TYPE = Registry.PROMETHEUS_CONTENT_TYPE

/** The exposition text of a process: what its threads counted, added up. */
export function exposition(threads: readonly MetricSamples[]): Promise<string> {
  return AggregatorRegistry.aggregate([...threads]).metrics()
}

export function createPrometheusMetrics(): PrometheusMetrics {
  const registry = new Registry()
  const counters = new Map<string, Counter>()
  const gauges = new Map<string, Gauge>()
  const histograms = new Map<string, Histogram>()
  for (const [name, spec] of Object.entries(metricsCatalogue)) {
    const options = optionsOf(name, spec, registry)
    if (spec.kind === 'counter') counters.set(name, new Counter(options))
    else if (spec.kind === 'gauge') gauges.set(name, createGauge(options))
    else histograms.set(name, new Histogram({ ...options, buckets: [...(spec.buckets ?? [])] }))
  }
  return {
    samples: () => registry.getMetricsAsJSON(),
    count: (name, labels: Labels = {}, by = 1) => {
      known(counters, name).inc(labels, by)
    },
    set: (name, labels, value) => {
      if (value === null) known(gauges, name).remove(labels)
      else known(gauges, name).set(labels, value)
    },
    observe: (name, labels, value) => {
      known(histograms, name).observe(labels, value)
    },
  }
}

/** Absent until it is set: the library would say 0 where there are no labels. */
function createGauge(options: ReturnType<typeof optionsOf>): Gauge {
  const gauge = new Gauge(options)
  if (options.labelNames.length === 0) gauge.remove()
  return gauge
}

function optionsOf(name: string, spec: MetricSpec, registry: Registry) {
  return { name: `hooktrail_${name}`, help: spec.help, labelNames: [...spec.labels], registers: [registry] }
}

function known<T>(metrics: ReadonlyMap<string, T>, name: string): T {
  const metric = metrics.get(name)
  if (metric === undefined)
    throw new TypeError(`core/metrics-catalogue.ts has no metric ${name} of this kind`)
  return metric
}
