-- A replay may write into a topic of the log's own cluster instead of delivering to a handler (then its handler is '').
ALTER TABLE replays ADD COLUMN to_topic text;

-- As recover_action, and what that leaves out: a discarded job that a repetition revived is open again, where its event is
-- known.
CREATE FUNCTION recover_told_action(fact jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF NOT recover_action(fact) THEN RETURN false; END IF;
  IF fact->>'action' <> 'job.revive' THEN RETURN true; END IF;
  WITH gone AS (
    DELETE FROM jobs_done
     WHERE job_id = fact->'details'->>'job_id' AND state = 'discarded'
       AND completed_at <= (fact->>'created_at')::timestamptz
       AND EXISTS (SELECT FROM events e WHERE e.event_id = jobs_done.event_id)
    RETURNING *
  ) INSERT INTO jobs (created_at, record_offset, partition_no, attempt, max_attempts, job_id, event_id, handler,
                      source, event_type, topic, topic_id, last_error)
    SELECT g.created_at, e.record_offset, e.partition_no, g.attempt,
           g.max_attempts + coalesce((fact->'details'->>'budget')::integer, 1), g.job_id, g.event_id, g.handler,
           g.source, g.event_type, e.topic, e.topic_id, g.last_error
      FROM gone g CROSS JOIN LATERAL (SELECT * FROM events WHERE events.event_id = g.event_id LIMIT 1) AS e
    ON CONFLICT DO NOTHING;
  RETURN true;
END $$;

-- The end of a recovery says which replays it did not bring back: asked for after the copy was made, and not over when the
-- last was told of them.
CREATE FUNCTION tell_lost_replays() RETURNS void LANGUAGE sql AS $$
  INSERT INTO audit (actor, action, target, reason, details)
  SELECT 'hooktrail', 'replay.lost', a.target, 'the job store was put back to a copy from before it', a.details
    FROM audit a
   WHERE a.action = 'replay.create' AND NOT EXISTS (SELECT FROM replays r WHERE r.replay_id = a.target)
     AND NOT EXISTS (SELECT FROM audit o WHERE o.target = a.target
                       AND o.action IN ('replay.completed', 'replay.cancel', 'replay.lost'))
$$;
