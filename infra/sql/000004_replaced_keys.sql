-- A key that comes back past the window goes to the later event. The id of the earlier one stays known, under itself, so
-- that a record that repeats it is never planned as an event of its own.
CREATE FUNCTION keep_event_id() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO first_seen VALUES ('', OLD.event_id, OLD.topic_id, OLD.partition_no, OLD.record_offset, OLD.timestamp_ms,
                                 OLD.event_id, OLD.body_digest)
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER first_seen_replaced AFTER UPDATE ON first_seen
  FOR EACH ROW WHEN (OLD.event_id <> NEW.event_id) EXECUTE FUNCTION keep_event_id();
