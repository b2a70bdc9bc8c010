-- Replays: what the log and the archive hold, delivered to a handler once more. A replay plans and delivers under a name
-- of its own, `<handler>.<replay id>` (names of handlers hold no dot): that is the handler of its plan steps, jobs and
-- attempts, so that nothing of it is counted as live, and every statement on live jobs passes it over.

CREATE TABLE replays (
  name           text COLLATE "C" PRIMARY KEY,
  replay_id      text COLLATE "C" NOT NULL UNIQUE,
  handler        text COLLATE "C" NOT NULL,
  source         text NOT NULL,
  topic          text NOT NULL,
  -- A dry run is counted first; it may then be run over the very same offsets. Completed: running, with an end.
  status         text NOT NULL CHECK (status IN ('counting', 'counted', 'running', 'paused', 'cancelled')),
  filter         text,
  -- Only these events; null: all.
  event_ids      text[],
  per_second     float8,
  -- What was taken has used the rate up to here.
  paced_to       timestamptz NOT NULL DEFAULT now(),
  -- What was asked for, for people.
  asked          jsonb NOT NULL,
  reason         text,
  created_at     timestamptz NOT NULL DEFAULT now(),
  ended_at       timestamptz,
  -- What became of its jobs, kept for longer than they are.
  result         jsonb
);
CREATE INDEX replays_open ON replays (handler) WHERE ended_at IS NULL;

-- Offsets, fixed when the replay was asked for. next_offset moves by compare-and-swap, with what was planned.
CREATE TABLE replay_ranges (
  name           text COLLATE "C" NOT NULL,
  topic_id       text COLLATE "C" NOT NULL,
  partition_no   integer NOT NULL,
  first_offset   bigint NOT NULL,
  next_offset    bigint NOT NULL,
  end_offset     bigint NOT NULL,
  counts         jsonb NOT NULL DEFAULT '{}',
  PRIMARY KEY (name, topic_id, partition_no),
  CHECK (first_offset <= next_offset AND next_offset <= end_offset)
) WITH (fillfactor = 50);

-- As first_seen, for what that has forgotten: decided inside the replay, and gone with its end.
CREATE TABLE replay_seen (
  name           text COLLATE "C" NOT NULL,
  source         text COLLATE "C" NOT NULL,
  key            text COLLATE "C" NOT NULL,
  topic_id       text NOT NULL,
  partition_no   integer NOT NULL,
  record_offset  bigint NOT NULL,
  timestamp_ms   bigint NOT NULL,
  event_id       text COLLATE "C" NOT NULL,
  body_digest    bytea NOT NULL,
  PRIMARY KEY (name, source, key)
);
CREATE INDEX replay_seen_event ON replay_seen (name, event_id);

-- What became of a replay's jobs. Live ones are not in these.
CREATE INDEX jobs_done_replayed ON jobs_done (handler) WHERE strpos(handler, '.') > 0;
CREATE INDEX jobs_dead_replayed ON jobs_dead (handler) WHERE strpos(handler, '.') > 0;
