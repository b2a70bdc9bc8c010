-- A store that travelled back, or was lost, is made whole from what the log and the archive tell of it: facts, which are
-- the records of deliveries and audit. No function here asks who is right: the caller has stopped everything first.

-- Up to where everything that the log tells of this store is known to be in it.
CREATE TABLE noted_offsets (
  topic_id       text COLLATE "C" NOT NULL,
  partition_no   integer NOT NULL,
  next_offset    bigint NOT NULL,
  PRIMARY KEY (topic_id, partition_no)
) WITH (fillfactor = 10);

-- Planning below these ends may meet jobs of which more was told than their plan step.
CREATE TABLE recovered_ends (
  topic_id       text COLLATE "C" NOT NULL,
  partition_no   integer NOT NULL,
  next_offset    bigint NOT NULL,
  PRIMARY KEY (topic_id, partition_no)
);

-- Whether the store holds it. What lay in a slice that was dropped is taken as held.
CREATE FUNCTION holds_fact(fact jsonb) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
  told_at timestamptz := (fact->>'created_at')::timestamptz;
  told_incarnation integer := split_part(fact->>'id', '.', 1)::integer;
  told_id bigint := split_part(fact->>'id', '.', 2)::bigint;
BEGIN
  IF fact->>'kind' = 'plan_step' THEN
    -- A replay has positions of its own, which are gone with it.
    RETURN position('.' IN fact->>'handler') > 0 OR EXISTS (SELECT FROM positions p
      WHERE p.topic_id = fact->>'topic_id' AND p.partition_no = (fact->>'partition')::integer
        AND p.handler = fact->>'handler' AND p.next_offset >= (fact->>'next')::bigint);
  ELSIF fact->>'kind' = 'audit' THEN
    RETURN EXISTS (SELECT FROM audit a
      WHERE a.id = told_id AND a.incarnation = told_incarnation AND a.created_at = told_at);
  END IF;
  RETURN EXISTS (SELECT FROM attempts a
      WHERE a.job_id = fact->>'job_id' AND a.incarnation = told_incarnation AND a.id = told_id
        AND a.created_at = told_at)
    OR told_at < (SELECT min(to_date(right(c.relname, 8), 'YYYYMMDD')) FROM pg_inherits i
                    JOIN pg_class c ON c.oid = i.inhrelid
                   WHERE i.inhparent = 'attempts'::regclass AND c.relname ~ '_[0-9]{8}$');
END $$;

-- Daily slices (UTC) of one table; a day whose rows already lie in the default slice is left out. From today on it is
-- what maintenance makes, from a day that is past on what recovered rows need.
CREATE FUNCTION make_slices(parent text, slice_key text, from_day date, to_day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  slice text;
  lower_end timestamptz;
  strays boolean;
BEGIN
  FOR n IN 0..(to_day - from_day) LOOP
    slice := parent || '_' || to_char(from_day + n, 'YYYYMMDD');
    CONTINUE WHEN to_regclass(slice) IS NOT NULL;
    lower_end := (from_day + n)::timestamp AT TIME ZONE 'UTC';
    EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE %I >= $1 AND %I < $2)', parent || '_default', slice_key, slice_key)
       INTO strays USING lower_end, lower_end + interval '1 day';
    CONTINUE WHEN strays;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING STORAGE)', slice, parent);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   parent, slice, lower_end, lower_end + interval '1 day');
  END LOOP;
END $$;

CREATE OR REPLACE FUNCTION make_day_slices(parent text, slice_key text, days_ahead integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  today date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
BEGIN
  PERFORM make_slices(parent, slice_key, today, today + days_ahead);
END $$;

CREATE FUNCTION make_past_slices(parent text, slice_key text, from_day date) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM make_slices(parent, slice_key, from_day, (clock_timestamp() AT TIME ZONE 'UTC')::date);
END $$;

-- A job that is planned below recovered_ends: null where the store has it already, which then learns where its event
-- lies; else the number of its last attempt, 0 where none was told.
CREATE FUNCTION settle_planned(
  of_job text, of_source text, of_type text, of_topic text, of_topic_id text, of_partition integer, at_offset bigint
) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
  UPDATE jobs SET topic = of_topic, topic_id = of_topic_id, partition_no = of_partition, record_offset = at_offset
   WHERE job_id = of_job;
  IF FOUND THEN RETURN NULL; END IF;
  UPDATE jobs_dead SET topic = of_topic, topic_id = of_topic_id, partition_no = of_partition,
                       record_offset = at_offset, source = of_source, event_type = of_type
   WHERE job_id = of_job;
  IF FOUND THEN RETURN NULL; END IF;
  UPDATE jobs_done SET source = of_source, event_type = of_type WHERE job_id = of_job;
  IF FOUND THEN RETURN NULL; END IF;
  RETURN coalesce((SELECT max(attempt) FROM attempts WHERE job_id = of_job), 0);
END $$;

-- An attempt that was told, and what it made of its job. False: the store holds it already.
CREATE FUNCTION recover_attempt(fact jsonb, retry_at timestamptz, attempts_max integer) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  told_at timestamptz := (fact->>'created_at')::timestamptz;
  of_job text := fact->>'job_id';
  of_event text := fact->>'event_id';
  of_handler text := fact->>'handler';
  tried integer := (fact->>'attempt')::integer;
  told_state text := fact->>'next_state';
  job record;
BEGIN
  IF holds_fact(fact) THEN RETURN false; END IF;
  INSERT INTO attempts (created_at, id, xid, incarnation, attempt, status_code, total_ms, dns_ms, connect_ms, tls_ms,
                        first_byte_ms, late, job_id, event_id, handler, next_state, error_class, error_detail,
                        remote_address, generation, response_body, request_digest)
  OVERRIDING SYSTEM VALUE
  VALUES (told_at, split_part(fact->>'id', '.', 2)::bigint, '0', split_part(fact->>'id', '.', 1)::integer, tried,
          (fact->>'status_code')::integer, (fact->>'duration_ms')::real, (fact->>'dns_ms')::real,
          (fact->>'connect_ms')::real, (fact->>'tls_ms')::real, (fact->>'first_byte_ms')::real,
          (fact->>'late')::boolean, of_job, of_event, of_handler, told_state, fact->>'error', fact->>'error_detail',
          fact->>'remote_address', coalesce(fact->>'generation', ''), decode(fact->>'response_body_base64', 'base64'),
          decode(fact->>'request_digest', 'hex'));
  IF told_state IS NULL THEN RETURN true; END IF;
  IF told_state = 'retryable' THEN
    UPDATE jobs SET state = 'retryable', attempt = tried, due = retry_at, lease = NULL, lease_until = NULL,
                    queued_until = NULL, last_error = fact->>'error'
     WHERE job_id = of_job AND attempt <= tried;
    RETURN true;
  END IF;
  WITH open AS (
    DELETE FROM jobs WHERE job_id = of_job AND attempt <= tried
    RETURNING created_at, max_attempts, source, event_type, topic, topic_id, partition_no, record_offset
  ), dead AS (
    DELETE FROM jobs_dead WHERE job_id = of_job AND attempt < tried
    RETURNING created_at, max_attempts, source, event_type, topic, topic_id, partition_no, record_offset
  ) SELECT * INTO job FROM (SELECT * FROM open UNION ALL SELECT * FROM dead) AS known LIMIT 1;
  IF NOT FOUND THEN
    IF EXISTS (SELECT FROM jobs WHERE job_id = of_job) OR EXISTS (SELECT FROM jobs_dead WHERE job_id = of_job)
       OR EXISTS (SELECT FROM jobs_done WHERE job_id = of_job) THEN RETURN true; END IF;
    -- Its plan step was not told: planning comes by, finds it here and says where its event lies.
    SELECT told_at AS created_at, greatest(attempts_max, tried) AS max_attempts,
           coalesce(e.source, h.source, '') AS source, coalesce(e.type, '') AS event_type,
           coalesce(e.topic, '') AS topic, coalesce(e.topic_id, '') AS topic_id,
           coalesce(e.partition_no, 0) AS partition_no, coalesce(e.record_offset, 0) AS record_offset
      INTO job FROM (SELECT) AS one
      LEFT JOIN LATERAL (SELECT * FROM events WHERE event_id = of_event LIMIT 1) AS e ON true
      LEFT JOIN handlers h ON h.handler = of_handler;
  END IF;
  IF told_state = 'completed' THEN
    INSERT INTO jobs_done (completed_at, created_at, attempt, max_attempts, job_id, event_id, handler, source, event_type)
    VALUES (told_at, job.created_at, tried, job.max_attempts, of_job, of_event, of_handler, job.source, job.event_type);
  ELSE
    INSERT INTO jobs_dead (completed_at, created_at, record_offset, partition_no, attempt, max_attempts, job_id,
                           event_id, handler, source, event_type, topic, topic_id, last_error)
    VALUES (told_at, job.created_at, job.record_offset, job.partition_no, tried, job.max_attempts, of_job, of_event,
            of_handler, job.source, job.event_type, job.topic, job.topic_id, fact->>'error');
  END IF;
  RETURN true;
END $$;

-- A row of audit that was told, and what the action did. False: the store holds it already.
CREATE FUNCTION recover_action(fact jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  told_at timestamptz := (fact->>'created_at')::timestamptz;
  told_action text := fact->>'action';
  told jsonb := fact->'details';
BEGIN
  IF holds_fact(fact) THEN RETURN false; END IF;
  INSERT INTO audit (created_at, id, xid, incarnation, actor, action, target, reason, details)
  OVERRIDING SYSTEM VALUE
  VALUES (told_at, split_part(fact->>'id', '.', 2)::bigint, '0', split_part(fact->>'id', '.', 1)::integer,
          fact->>'actor', told_action, fact->>'target', fact->>'reason', told)
  ON CONFLICT (id) DO NOTHING;
  CASE
    WHEN told_action IN ('job.retry', 'job.revive') THEN
      WITH dead AS (DELETE FROM jobs_dead WHERE job_id = told->>'job_id' AND completed_at <= told_at RETURNING *)
      INSERT INTO jobs (created_at, record_offset, partition_no, attempt, max_attempts, job_id, event_id, handler,
                        source, event_type, topic, topic_id, last_error)
      SELECT created_at, record_offset, partition_no, attempt, max_attempts + coalesce((told->>'budget')::integer, 1),
             job_id, event_id, handler, source, event_type, topic, topic_id, last_error FROM dead
      ON CONFLICT DO NOTHING;
    WHEN told_action = 'job.discard' THEN
      WITH dead AS (DELETE FROM jobs_dead WHERE job_id = told->>'job_id' AND completed_at <= told_at RETURNING *)
      INSERT INTO jobs_done (completed_at, created_at, attempt, max_attempts, job_id, event_id, handler, source,
                             event_type, state, last_error)
      SELECT told_at, created_at, attempt, max_attempts, job_id, event_id, handler, source, event_type, 'discarded',
             last_error FROM dead;
    WHEN told_action = 'handler_disabled' THEN
      UPDATE handlers SET status = 'disabled', status_reason = fact->>'reason' WHERE handler = fact->>'target';
    WHEN told_action LIKE 'handler.%' AND told->>'after' IN ('active', 'paused', 'disabled') THEN
      UPDATE handlers SET status = told->>'after', status_reason = fact->>'reason' WHERE handler = fact->>'target';
    ELSE NULL;
  END CASE;
  RETURN true;
END $$;

-- Topics of the log in this database that ended before what was archived, under the ids that they had: what the archive
-- holds of them is planned before deliveries go on.
CREATE TABLE travelled_topics (
  topic_id       text COLLATE "C" PRIMARY KEY,
  topic          text NOT NULL
);

-- Counts of a plan step without the last `gone` offsets, of which so many were planned and so many errors. Which of the
-- other kinds the rest was is not kept: it is taken off one after the other.
CREATE FUNCTION cut_counts(counts jsonb, gone bigint, planned bigint, errors bigint) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  rest bigint := gone - planned - errors;
  had bigint;
  kind text;
BEGIN
  counts := counts || jsonb_build_object('planned', (counts->>'planned')::bigint - planned,
                                         'errors', (counts->>'errors')::bigint - errors);
  FOREACH kind IN ARRAY ARRAY['filtered', 'duplicate', 'expired', 'skipped', 'lost', 'planned'] LOOP
    had := (counts->>kind)::bigint;
    counts := counts || jsonb_build_object(kind, had - least(had, rest));
    rest := rest - least(had, rest);
  END LOOP;
  RETURN counts;
END $$;

-- What points to records of a topic from an offset on follows them to the topic that they go to, where planning comes by
-- again; positions and plan steps of the old topic end there.
CREATE FUNCTION move_pointers(old_id text, new_id text, of_partition integer, from_offset bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE first_seen SET topic_id = new_id, record_offset = record_offset - from_offset
   WHERE topic_id = old_id AND partition_no = of_partition AND record_offset >= from_offset;
  UPDATE jobs SET topic_id = new_id, record_offset = record_offset - from_offset
   WHERE topic_id = old_id AND partition_no = of_partition AND record_offset >= from_offset;
  UPDATE jobs_dead SET topic_id = new_id, record_offset = record_offset - from_offset
   WHERE topic_id = old_id AND partition_no = of_partition AND record_offset >= from_offset;
  DELETE FROM events WHERE topic_id = old_id AND partition_no = of_partition AND record_offset >= from_offset;
  DELETE FROM plan_steps WHERE topic_id = old_id AND partition_no = of_partition AND first_offset >= from_offset;
  UPDATE plan_steps SET next_offset = from_offset,
         planned = ARRAY(SELECT u FROM unnest(planned) AS u WHERE u < from_offset),
         dead_jobs = (SELECT coalesce(jsonb_agg(d), '[]') FROM jsonb_array_elements(dead_jobs) AS d
                       WHERE (d->>'offset')::bigint < from_offset),
         counts = cut_counts(counts, next_offset - from_offset,
                             (SELECT count(*) FROM unnest(planned) AS u WHERE u >= from_offset),
                             (SELECT count(*) FROM jsonb_array_elements(dead_jobs) AS d
                               WHERE (d->>'offset')::bigint >= from_offset))
   WHERE topic_id = old_id AND partition_no = of_partition AND next_offset > from_offset;
  UPDATE positions SET next_offset = greatest(start_offset, from_offset)
   WHERE topic_id = old_id AND partition_no = of_partition AND next_offset > from_offset;
  INSERT INTO positions (handler, topic_id, partition_no, start_offset, next_offset)
  SELECT handler, new_id, partition_no, 0, 0 FROM positions WHERE topic_id = old_id AND partition_no = of_partition
  ON CONFLICT DO NOTHING;
END $$;
