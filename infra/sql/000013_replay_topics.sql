-- A replay may write into a topic of the log's own cluster instead of delivering to a handler (then its handler is '').
ALTER TABLE replays ADD COLUMN to_topic text;
