-- The event log on Postgres: topics, one row for each partition (its next offset is what makes offsets contiguous),
-- and the records in time slices, so that forgetting is a dropped table.

CREATE TABLE log_topics (
  topic_no       integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  name           text NOT NULL UNIQUE,
  topic_id       uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
  partitions     integer NOT NULL CHECK (partitions > 0),
  created_at     timestamptz NOT NULL DEFAULT now()
);

-- Updated by every append: no index on what changes and room in each page, so that every update stays in its page.
CREATE TABLE log_partitions (
  topic_no       integer NOT NULL REFERENCES log_topics ON DELETE CASCADE,
  partition_no   integer NOT NULL CHECK (partition_no >= 0),
  next_offset    bigint NOT NULL DEFAULT 0,
  log_start      bigint NOT NULL DEFAULT 0,
  last_timestamp bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (topic_no, partition_no),
  CHECK (log_start >= 0 AND log_start <= next_offset)
) WITH (
  fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
  autovacuum_vacuum_cost_delay = 0
);

-- No unique key over all slices is possible; each slice has its own, and the partition row's lock does the rest.
CREATE TABLE log_records (
  timestamp_ms   bigint NOT NULL,
  record_offset  bigint NOT NULL,
  topic_no       integer NOT NULL,
  partition_no   integer NOT NULL,
  key            bytea,
  value          bytea,
  headers        bytea
) PARTITION BY RANGE (timestamp_ms);

-- Uncompressed: bodies are archived with zstd later, and pglz costs more than the disk that it saves here.
ALTER TABLE log_records ALTER COLUMN key SET STORAGE EXTERNAL;
ALTER TABLE log_records ALTER COLUMN value SET STORAGE EXTERNAL;
ALTER TABLE log_records ALTER COLUMN headers SET STORAGE EXTERNAL;

-- Catches what no slice was made for: never used in practice, and never lost.
CREATE TABLE log_records_default PARTITION OF log_records DEFAULT WITH (toast_tuple_target = 8160);
CREATE UNIQUE INDEX log_records_default_position ON log_records_default (topic_no, partition_no, record_offset);

-- One call appends a batch: groups[i] = (topics[i], partitions[i]) takes counts[i] offsets; record r belongs to
-- group record_groups[r] (from 1) and is number record_ranks[r] (from 0) in it. Groups must be sorted by (topic,
-- partition): every appender locks in the same order, so that none waits for another in a circle.
CREATE FUNCTION log_append(
  topics integer[], partitions integer[], counts integer[],
  record_groups integer[], record_ranks integer[], keys bytea[], bodies bytea[], header_blocks bytea[]
) RETURNS TABLE (base_offset bigint, base_timestamp bigint) LANGUAGE plpgsql AS $$
DECLARE
  bases bigint[] := '{}';
  stamps bigint[] := '{}';
  base bigint;
  stamp bigint;
BEGIN
  FOR i IN 1 .. cardinality(topics) LOOP
    UPDATE log_partitions p
       SET next_offset = p.next_offset + counts[i],
           last_timestamp = greatest(p.last_timestamp, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint)
     WHERE p.topic_no = topics[i] AND p.partition_no = partitions[i]
    RETURNING p.next_offset - counts[i], p.last_timestamp INTO base, stamp;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'no partition % of topic number %', partitions[i], topics[i] USING ERRCODE = 'HT001';
    END IF;
    bases := bases || base;
    stamps := stamps || stamp;
  END LOOP;
  INSERT INTO log_records (timestamp_ms, record_offset, topic_no, partition_no, key, value, headers)
  SELECT stamps[r.group_no], bases[r.group_no] + r.rank, topics[r.group_no], partitions[r.group_no], r.key, r.body, r.block
    FROM unnest(record_groups, record_ranks, keys, bodies, header_blocks) AS r (group_no, rank, key, body, block);
  RETURN QUERY SELECT b, s FROM unnest(bases, stamps) AS u (b, s);
END $$;

-- One row with the bounds (next_offset, log_start), then records from first_offset on, as many as asked for and as fit
-- bytes_max, the first always: all from one snapshot. No record that is wanted lies below timestamp_min, so that older
-- slices are not even opened.
CREATE FUNCTION log_read(
  topic integer, partition integer, first_offset bigint, records_max integer, bytes_max integer, timestamp_min bigint
) RETURNS TABLE (record_offset bigint, timestamp_ms bigint, key bytea, value bytea, headers bytea)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
  bytes bigint := 0;
BEGIN
  SELECT next_offset, log_start INTO record_offset, timestamp_ms FROM log_partitions
   WHERE topic_no = topic AND partition_no = partition;
  IF NOT FOUND THEN RETURN; END IF;
  RETURN NEXT;
  FOR record_offset, timestamp_ms, key, value, headers IN
    SELECT r.record_offset, r.timestamp_ms, r.key, r.value, r.headers FROM log_records r
     WHERE r.topic_no = topic AND r.partition_no = partition AND r.record_offset >= first_offset
       AND r.timestamp_ms >= timestamp_min
     ORDER BY r.record_offset LIMIT records_max
  LOOP
    EXIT WHEN bytes >= bytes_max;
    bytes := bytes + coalesce(octet_length(key), 0) + coalesce(octet_length(value), 0) + coalesce(octet_length(headers), 0);
    RETURN NEXT;
  END LOOP;
END $$;

-- First offset whose timestamp is at least `wanted`: a binary search, as timestamps never decrease in a partition.
CREATE FUNCTION log_offset_at(topic integer, partition integer, wanted bigint) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
  low bigint;
  high bigint;
  middle bigint;
  found_offset bigint;
  found_timestamp bigint;
BEGIN
  SELECT log_start, next_offset INTO low, high FROM log_partitions
   WHERE topic_no = topic AND partition_no = partition;
  WHILE low < high LOOP
    middle := low + (high - low) / 2;
    SELECT record_offset, timestamp_ms INTO found_offset, found_timestamp FROM log_records
     WHERE topic_no = topic AND partition_no = partition AND record_offset >= middle AND record_offset < high
     ORDER BY record_offset LIMIT 1;
    IF found_offset IS NULL OR found_timestamp >= wanted THEN high := middle; ELSE low := found_offset + 1; END IF;
  END LOOP;
  RETURN low;
END $$;
