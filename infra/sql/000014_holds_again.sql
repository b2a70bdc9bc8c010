-- A request for a legal hold, or for its end, that an older copy of the database does not hold, or a store that was lost:
-- it was acknowledged, and the audit tells of all of it. Whether an archiver has signed it is seen in the archive.
CREATE FUNCTION recover_hold(fact jsonb) RETURNS boolean LANGUAGE sql AS $$
  INSERT INTO hold_requests (hold_id, action, topic, topic_id, partition_no, from_offset, to_offset, event_id, reason,
                             requested_at)
  SELECT fact->>'target', split_part(fact->>'action', '.', 2), asked->>'topic', asked->>'topic_id',
         (asked->>'partition')::integer, (asked->>'from')::bigint, (asked->>'to')::bigint,
         fact->'details'->>'event_id', fact->>'reason', (fact->>'created_at')::timestamptz
    FROM (SELECT fact->'details'->'range' AS asked) AS details
   WHERE fact->>'action' IN ('archive.hold', 'archive.release')
  ON CONFLICT DO NOTHING;
  SELECT true
$$;
