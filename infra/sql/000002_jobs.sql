-- The job store: positions and first sights of keys, open jobs (small, updated often), finished ones in daily slices,
-- and the outbox (attempts, plan steps, audit), which the relay reads in (incarnation, xid, id) order.

CREATE TABLE store (
  only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  store_id       uuid NOT NULL DEFAULT gen_random_uuid(),
  incarnation    integer NOT NULL DEFAULT 1,
  state          text NOT NULL DEFAULT 'ok' CHECK (state IN ('ok', 'recovering')),
  digest_key     text,
  archive_id     text,
  -- The newest heartbeat that was signed: an archive that does not hold it was rolled back.
  heartbeat_n      bigint,
  heartbeat_sha256 text
);
INSERT INTO store DEFAULT VALUES;

CREATE TABLE handlers (
  handler        text COLLATE "C" PRIMARY KEY CHECK (handler <> ''),
  source         text NOT NULL,
  status         text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused', 'disabled')),
  status_reason  text,
  created_at     timestamptz NOT NULL DEFAULT now(),
  -- When a dispatcher served it last, of those that are in dispatchers no more.
  served_until   timestamptz NOT NULL DEFAULT now()
);

-- What each live dispatcher serves, and until when that holds. For liveness only; a row is as old as its process.
CREATE TABLE dispatchers (
  owner          text COLLATE "C" PRIMARY KEY,
  handlers       text[] COLLATE "C" NOT NULL,
  until          timestamptz NOT NULL
) WITH (fillfactor = 10);

-- Handler '' is the index itself. Moved only by compare-and-swap, in the transaction of what was planned.
CREATE TABLE positions (
  handler        text COLLATE "C" NOT NULL,
  topic_id       text COLLATE "C" NOT NULL,
  partition_no   integer NOT NULL,
  start_offset   bigint NOT NULL,
  next_offset    bigint NOT NULL,
  PRIMARY KEY (topic_id, partition_no, handler),
  CHECK (next_offset >= start_offset)
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

CREATE TABLE first_seen (
  source         text COLLATE "C" NOT NULL,
  key            text COLLATE "C" NOT NULL,
  topic_id       text NOT NULL,
  partition_no   integer NOT NULL,
  record_offset  bigint NOT NULL,
  timestamp_ms   bigint NOT NULL,
  event_id       text COLLATE "C" NOT NULL,
  body_digest    bytea NOT NULL,
  PRIMARY KEY (source, key)
);
-- For the purge alone; times only grow, so that its insertions stay at the right end.
CREATE INDEX first_seen_time ON first_seen (timestamp_ms);

CREATE TABLE events (
  indexed_at     timestamptz NOT NULL DEFAULT now(),
  received_at_ms bigint NOT NULL,
  record_offset  bigint NOT NULL,
  timestamp_ms   bigint NOT NULL,
  partition_no   integer NOT NULL,
  size_bytes     integer NOT NULL,
  conflict       boolean NOT NULL,
  event_id       text COLLATE "C" NOT NULL,
  source         text NOT NULL,
  type           text NOT NULL,
  subject        text,
  topic          text NOT NULL,
  topic_id       text NOT NULL,
  unique_key     text,
  original_id    text
) PARTITION BY RANGE (indexed_at);
CREATE INDEX events_event ON events (event_id);

-- Open jobs only; vacuumed eagerly. A take changes no column of an index and finds room on its page, so that it writes
-- no index entry (HOT). That is why running jobs stay in jobs_due, and why leases have no index: see reap.ts.
CREATE TABLE jobs (
  created_at     timestamptz NOT NULL DEFAULT now(),
  due            timestamptz NOT NULL DEFAULT now(),
  lease_until    timestamptz,
  -- A hint is under way; null where the job store is its own queue, and from the take on. No index: see pump.ts.
  queued_until   timestamptz,
  record_offset  bigint NOT NULL,
  lease          uuid,
  partition_no   integer NOT NULL,
  attempt        integer NOT NULL DEFAULT 0,
  max_attempts   integer NOT NULL,
  state          text NOT NULL DEFAULT 'available' CHECK (state IN ('available', 'running', 'retryable')),
  job_id         text COLLATE "C" NOT NULL PRIMARY KEY,
  event_id       text COLLATE "C" NOT NULL,
  handler        text COLLATE "C" NOT NULL,
  source         text NOT NULL,
  event_type     text NOT NULL,
  topic          text NOT NULL,
  topic_id       text NOT NULL,
  generation     text,
  last_error     text,
  CHECK ((state = 'running') = (lease IS NOT NULL)),
  CHECK ((state = 'running') = (lease_until IS NOT NULL))
) WITH (
  fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
  autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX jobs_due ON jobs (handler, due);

CREATE TABLE jobs_done (
  completed_at   timestamptz NOT NULL DEFAULT now(),
  created_at     timestamptz NOT NULL,
  attempt        integer NOT NULL,
  max_attempts   integer NOT NULL,
  job_id         text COLLATE "C" NOT NULL,
  event_id       text COLLATE "C" NOT NULL,
  handler        text COLLATE "C" NOT NULL,
  source         text NOT NULL,
  event_type     text NOT NULL
) PARTITION BY RANGE (completed_at);
CREATE INDEX jobs_done_job ON jobs_done (job_id);

-- Keeps the pointer to the event, too: a retried job goes back to jobs.
CREATE TABLE jobs_dead (
  completed_at   timestamptz NOT NULL DEFAULT now(),
  created_at     timestamptz NOT NULL DEFAULT now(),
  record_offset  bigint NOT NULL,
  partition_no   integer NOT NULL,
  attempt        integer NOT NULL DEFAULT 0,
  max_attempts   integer NOT NULL,
  job_id         text COLLATE "C" NOT NULL,
  event_id       text COLLATE "C" NOT NULL,
  handler        text COLLATE "C" NOT NULL,
  source         text NOT NULL,
  event_type     text NOT NULL,
  topic          text NOT NULL,
  topic_id       text NOT NULL,
  last_error     text
) PARTITION BY RANGE (completed_at);
CREATE INDEX jobs_dead_job ON jobs_dead (job_id);

CREATE TABLE attempts (
  created_at     timestamptz NOT NULL DEFAULT now(),
  id             bigint GENERATED ALWAYS AS IDENTITY,
  xid            xid8 NOT NULL DEFAULT pg_current_xact_id(),
  incarnation    integer NOT NULL DEFAULT 1,
  attempt        integer NOT NULL,
  status_code    integer,
  total_ms       real NOT NULL,
  dns_ms         real,
  connect_ms     real,
  tls_ms         real,
  first_byte_ms  real,
  late           boolean NOT NULL,
  -- Of the take that made the attempt: an outcome that is handed in again is known by it. Null when it was reaped.
  lease          uuid,
  job_id         text COLLATE "C" NOT NULL,
  event_id       text COLLATE "C" NOT NULL,
  handler        text COLLATE "C" NOT NULL,
  -- What became of the job; null when the attempt came late and changed nothing.
  next_state     text,
  error_class    text,
  error_detail   text,
  remote_address text,
  generation     text NOT NULL,
  response_body  bytea,
  request_digest bytea
) PARTITION BY RANGE (created_at);
CREATE INDEX attempts_outbox ON attempts (incarnation, xid, id);
CREATE INDEX attempts_job ON attempts (job_id);

CREATE TABLE plan_steps (
  created_at     timestamptz NOT NULL DEFAULT now(),
  id             bigint GENERATED ALWAYS AS IDENTITY,
  xid            xid8 NOT NULL DEFAULT pg_current_xact_id(),
  incarnation    integer NOT NULL DEFAULT 1,
  partition_no   integer NOT NULL,
  first_offset   bigint NOT NULL,
  next_offset    bigint NOT NULL,
  handler        text COLLATE "C" NOT NULL,
  topic          text NOT NULL,
  topic_id       text NOT NULL,
  generation     text NOT NULL,
  counts         jsonb NOT NULL,
  planned        bigint[] NOT NULL,
  -- Jobs that were made dead at once: [{job_id, error, error_detail}].
  dead_jobs      jsonb NOT NULL
) PARTITION BY RANGE (created_at);
CREATE INDEX plan_steps_outbox ON plan_steps (incarnation, xid, id);

CREATE TABLE audit (
  created_at     timestamptz NOT NULL DEFAULT now(),
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  xid            xid8 NOT NULL DEFAULT pg_current_xact_id(),
  incarnation    integer NOT NULL DEFAULT 1,
  actor          text NOT NULL,
  action         text NOT NULL,
  target         text NOT NULL,
  reason         text,
  details        jsonb NOT NULL
);
CREATE INDEX audit_outbox ON audit (incarnation, xid, id);

-- The end of a statement that writes a whole planning step or nothing.
CREATE FUNCTION require_whole_step(is_whole boolean) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF NOT is_whole THEN RAISE EXCEPTION 'the step is not new as a whole' USING ERRCODE = 'HT002'; END IF;
  RETURN true;
END $$;

CREATE TABLE relay_positions (
  kind           text PRIMARY KEY,
  incarnation    integer NOT NULL DEFAULT 1,
  xid            xid8 NOT NULL DEFAULT '0',
  id             bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO relay_positions (kind) VALUES ('plan_steps'), ('attempts'), ('audit');

CREATE TABLE leases (
  name           text PRIMARY KEY,
  owner          text NOT NULL,
  until          timestamptz NOT NULL
) WITH (fillfactor = 10);

-- What has no slice lands here, is counted and keeps its day from getting a slice.
CREATE TABLE events_default PARTITION OF events DEFAULT;
CREATE TABLE jobs_done_default PARTITION OF jobs_done DEFAULT;
CREATE TABLE jobs_dead_default PARTITION OF jobs_dead DEFAULT;
CREATE TABLE attempts_default PARTITION OF attempts DEFAULT;
CREATE TABLE plan_steps_default PARTITION OF plan_steps DEFAULT;

-- Daily slices (UTC) of one table from today on; a day whose rows already lie in the default slice is left out.
CREATE FUNCTION make_day_slices(parent text, slice_key text, days_ahead integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  today date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
  slice text;
  lower_end timestamptz;
  strays boolean;
BEGIN
  FOR n IN 0..days_ahead LOOP
    slice := parent || '_' || to_char(today + n, 'YYYYMMDD');
    CONTINUE WHEN to_regclass(slice) IS NOT NULL;
    lower_end := (today + n)::timestamp AT TIME ZONE 'UTC';
    EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE %I >= $1 AND %I < $2)', parent || '_default', slice_key, slice_key)
       INTO strays USING lower_end, lower_end + interval '1 day';
    CONTINUE WHEN strays;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING STORAGE)', slice, parent);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   parent, slice, lower_end, lower_end + interval '1 day');
  END LOOP;
END $$;

SELECT make_day_slices('events', 'indexed_at', 7), make_day_slices('jobs_done', 'completed_at', 7),
       make_day_slices('jobs_dead', 'completed_at', 7), make_day_slices('attempts', 'created_at', 7),
       make_day_slices('plan_steps', 'created_at', 7);
