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
