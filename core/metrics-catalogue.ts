/** Every metric once: kind, help and labels. Exported with the prefix `hooktrail_`; label values are bounded by the
 * configuration (sources, handlers) or by closed lists (reasons, classes, states). */
export interface MetricSpec {
  readonly kind: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly labels: readonly string[]
  readonly buckets?: readonly number[]
}

const ACK_BUCKETS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3, 10]
const DELIVERY_BUCKETS = [0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60]
const END_TO_END_BUCKETS = [0.01, 0.05, 0.1, 0.5, 1, 5, 30, 300, 3600, 86400]
const BATCH_BUCKETS = [1, 2, 5, 10, 25, 50, 100, 250, 500]

const counter = (help: string, ...labels: string[]): MetricSpec => ({ kind: 'counter', help, labels })
const gauge = (help: string, ...labels: string[]): MetricSpec => ({ kind: 'gauge', help, labels })
const histogram = (buckets: readonly number[], help: string, ...labels: string[]): MetricSpec => ({
  kind: 'histogram',
  help,
  labels,
  buckets,
})

export const metricsCatalogue: Readonly<Record<string, MetricSpec>> = {
  worm_state: gauge('Deletion lock of the archive as last probed: 1 in force, 0.5 unproven, 0 not in force'),
  events_received_total: counter('Events acknowledged by the ingress', 'source'),
  events_rejected_total: counter('Requests refused', 'source', 'reason'),
  verification_failures_total: counter('Requests with a wrong or missing signature', 'source'),
  events_duplicate_total: counter('Duplicates recognised', 'source'),
  events_misfit_total: counter('Events kept although they do not fit the schema of their source', 'source'),
  events_unchecked_total: counter('Events kept without a check, their schema not at hand', 'source'),
  ack_duration_seconds: histogram(ACK_BUCKETS, 'Time from request to acknowledgement', 'source'),
  append_batch_records: histogram(BATCH_BUCKETS, 'Records of one append to the log'),
  deliveries_total: counter('Attempts by their result', 'handler', 'result'),
  delivery_duration_seconds: histogram(DELIVERY_BUCKETS, 'Duration of an attempt', 'handler'),
  delivery_errors_total: counter('Failed attempts by class', 'handler', 'class'),
  end_to_end_seconds: histogram(END_TO_END_BUCKETS, 'Time from receipt to delivery', 'handler'),
  store_travelled_back_total: counter('Times that the job store was found to be an older copy'),
  open_jobs: gauge('Jobs that are not done', 'handler', 'state'),
  dlq_total: counter('Jobs that became dead', 'handler'),
  handler_lag_records: gauge('Records in log and archive that are not planned for the handler', 'handler'),
  handler_lag_seconds: gauge('Age of the oldest record that is not planned for the handler', 'handler'),
  handler_margin_seconds: gauge(
    'How long planning may stand still before the handler needs the archive for its backlog',
    'handler',
  ),
  handler_unserved_seconds: gauge('How long no dispatcher has served the handler', 'handler'),
  circuit_state: gauge('Breaker of the handler: 0 closed, 1 probing, 2 open', 'handler'),
  handlers_disabled_total: counter(
    'Times that a handler was disabled by what it answers',
    'handler',
    'reason',
  ),
  attempts_unknown_total: counter('Attempts whose outcome is unknown'),
  outbox_lag_records: gauge('Rows of the outbox that are not on the log', 'kind'),
  offsets_lost_total: counter('Offsets that were planned as lost: under a signed loss, or a hole', 'source'),
  archive_lag_records: gauge('Offsets in the log that no manifest covers', 'topic'),
  archive_lag_seconds: gauge('Age of the oldest record that no manifest covers', 'topic'),
  archive_margin_records: gauge(
    'Archived offsets that the log still holds before the first that is not archived, where one waits',
    'topic',
  ),
  archive_bytes_total: counter('Bytes of data objects written'),
  archive_segments_total: counter('Segments written'),
  archive_losses_total: counter('Losses that were signed into the archive'),
  archive_halts_total: counter('Partitions whose archiving was halted'),
  heartbeat_age_seconds: gauge('Age of the newest heartbeat of the archive'),
}
