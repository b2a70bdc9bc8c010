-- An event id is planned once. Each event claims one row of first_seen: under its key, or, where another event has that,
-- under its id with an empty source.

-- Ids that earlier versions took twice: the lower key stays.
DELETE FROM first_seen AS later USING first_seen AS kept
 WHERE kept.event_id = later.event_id AND (kept.source, kept.key) < (later.source, later.key);
CREATE UNIQUE INDEX first_seen_event ON first_seen (event_id);
